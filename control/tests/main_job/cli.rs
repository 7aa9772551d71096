//! The same from the command line.

use std::process::Output;

use serde_json::Value;

use crate::instance::{Instance, atelier};

fn run(instance: &Instance, arguments: &[&str]) -> Output {
    atelier()
        .args(["--server", &instance.url, "--api-key", &instance.key])
        .args(arguments)
        .env("HOME", instance.path("home"))
        .output()
        .unwrap()
}

#[track_caller]
fn json(instance: &Instance, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = run(instance, &all);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_studio_is_started_listed_and_stopped() {
    let instance = Instance::new().await;
    assert!(run(&instance, &["studio", "-p", "DEMO", "start", "lab"]).status.success());
    instance.until(&instance.at(""), |studio| studio["state"] == "RUNNING").await;
    let listed = json(&instance, &["studio", "-p", "DEMO", "list"]);
    assert!(listed.to_string().contains("RUNNING"), "{listed}");
    assert!(run(&instance, &["studio", "-p", "DEMO", "stop", "lab"]).status.success());
    instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
}
