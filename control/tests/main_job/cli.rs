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

#[tokio::test]
async fn mounts_history_and_trash_are_set_shown_and_had_back() {
    const OWN: &str = "code_studio-versioned";
    let instance = Instance::new().await;
    instance.bring("start").await;
    let words = ["mount", "set", "lab", "-m", OWN, "--live", "on", "--merge", "on"];
    let set = json(&instance, &words);
    assert_eq!((&set["live"], &set["merge"]), (&true.into(), &true.into()));
    let listed = run(&instance, &["mount", "list", "lab"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let own = listed.lines().find(|line| line.starts_with(OWN)).unwrap();
    assert!(own.contains("on    on"), "{listed}");
    assert!(own.contains("runs: "), "{listed}");
    assert_eq!(run(&instance, &["mount", "set", "lab", "-m", OWN]).status.code(), Some(2));

    instance.put_zone_text("a.txt", "one").await;
    instance.put_zone_text("a.txt", "two").await;
    let place = ["-s", "lab", "-z", OWN, "a.txt"];
    let of = |verb: &'static str| [&[verb][..], &place[..]].concat();
    let history = json(&instance, &of("history"));
    let first = history[1]["commit"].as_str().unwrap();
    let trash = json(&instance, &of("trash"));
    assert!(!trash.as_array().unwrap().is_empty(), "{trash}");
    let mut restore = of("restore");
    restore.extend(["--commit", first]);
    assert!(run(&instance, &restore).status.success());
    assert_eq!(instance.zone_text("a.txt").await.unwrap(), "one");
}

#[tokio::test]
async fn a_synchronisation_shows_how_far_it_is_without_a_terminal_and_to_programs() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let sync = ["sync", "lab", "-m", "code_studio-resources"];
    let fill = "head -c 300000000 /dev/urandom > code_studio-resources/large";
    instance.exec(fill).await;
    let done = run(&instance, &sync);
    assert!(done.status.success());
    let said = String::from_utf8(done.stderr).unwrap();
    let line = said.lines().find(|line| line.starts_with("code_studio-resources: "));
    assert!(line.is_some(), "{said}");
    instance.exec(fill).await;
    let done = run(&instance, &[&["--json"], &sync[..]].concat());
    let result: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(result["mounts"][0]["to_server"][0]["path"], "large");
    let said = String::from_utf8(done.stderr).unwrap();
    let told: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.iter().any(|it| it["bytes_expected"] == 300_000_000), "{said}");
}
