//! Things break in the middle.

use std::{collections::BTreeSet, net::TcpListener, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::Instance;

/// After how many milliseconds of a start or a stop the server is killed.
fn moments() -> Vec<u64> {
    let long = std::env::var_os("ATELIER_LONG").is_some();
    if long { (0..100).map(|step| step * 11).collect() } else { vec![0, 40, 150, 600] }
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_a_start_goes_on_with_it() {
    let mut instance = Instance::new().await;
    for (round, moment) in moments().into_iter().enumerate() {
        instance.call(Method::POST, &instance.at("/start"), None).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        instance.kill();
        instance.start().await;
        let running =
            |it: &Value| it["state"] == "RUNNING" && it["entrypoints"][0]["readiness"] == "ready";
        let state = instance.until(&instance.at(""), running).await;
        assert_eq!(state["failure"], Value::Null, "after {moment} ms");
        assert_eq!(one_agent(&instance), 1, "after {moment} ms");
        instance.write(&format!("round-{round}"), "kept").await;
        instance.bring("stop").await;
        assert_eq!(instance.zone_text(&format!("round-{round}")).await.unwrap(), "kept");
    }
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_a_stop_loses_no_file() {
    let mut instance = Instance::new().await;
    for (round, moment) in moments().into_iter().enumerate() {
        instance.bring("start").await;
        let names: Vec<String> = (0..50).map(|number| format!("r{round}-{number}")).collect();
        let line = format!(
            "cd code_studio-versioned && for n in {}; do echo $n > $n; done",
            names.join(" ")
        );
        instance.exec(&line).await;
        instance.call(Method::POST, &instance.at("/stop"), None).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        instance.kill();
        instance.start().await;
        instance.until(&instance.at(""), |it| it["state"] == "STOPPED").await;
        let files = instance.get(&instance.zone("/files?path=")).await;
        let there: BTreeSet<&str> = files["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|file| file["name"].as_str())
            .collect();
        for name in &names {
            assert!(there.contains(name.as_str()), "{name} is lost after {moment} ms");
        }
        assert_eq!(one_agent(&instance), 0);
    }
}

/// Agents of the studio that run.
fn one_agent(instance: &Instance) -> usize {
    let marker = format!("ATELIER_STUDIO_ID={}", instance.studio);
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let ours = environment.split(|&byte| byte == 0).any(|line| line == marker.as_bytes());
        count += usize::from(ours && name.trim() == "atelier-agent");
    }
    count
}

/// The studio's own web servers: those of other tests have the same name.
async fn servers(instance: &Instance) -> String {
    let script = "for it in $(pgrep -f '[h]ttp.server.*8000'); do \
        tr '\\0' '\\n' < /proc/$it/environ | grep -qx \"ATELIER_STUDIO_ID=$ATELIER_STUDIO_ID\" && echo $it; done; true";
    instance.exec(script).await.0
}

#[tokio::test]
async fn a_running_studio_never_notices_that_the_server_is_killed() {
    let mut instance = Instance::new().await;
    instance.bring("start").await;
    let before = servers(&instance).await;
    assert_eq!(before.lines().count(), 1, "{before}");
    let session = json!({"command": ["bash", "-c", "sleep 2; echo survived"]});
    let session = instance.call(Method::POST, &instance.at("/sessions"), Some(session)).await;
    instance.kill();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    instance.start().await;
    instance.until(&instance.at(""), |it| it["entrypoints"][0]["readiness"] == "ready").await;
    assert_eq!(servers(&instance).await, before);
    let path = instance.at(&format!("/sessions/{}/output", session["id"].as_str().unwrap()));
    let output = instance.until(&path, Value::is_string).await;
    let survived = data_encoding::BASE64.encode(b"survived\n");
    assert!(output.as_str().unwrap().contains(&survived), "{output}");
    assert!(output.as_str().unwrap().contains("\"code\":0"), "{output}");
}

#[tokio::test]
async fn files_of_a_killed_agent_are_there_at_the_next_start() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.write("unsaved.txt", "precious").await;
    kill(Pid::from_raw(instance.agent_pid()), Signal::SIGKILL).unwrap();
    let lost = instance.until(&instance.at(""), |it| it["state"] == "STOPPED").await;
    assert!(
        lost["failure"].as_str().unwrap().contains("kept for the next start")
            || lost["failure"].as_str().unwrap().contains("pod has ended"),
        "{lost}"
    );
    instance.bring("start").await;
    assert_eq!(instance.exec("cat code_studio-versioned/unsaved.txt").await.0, "precious");
    instance.synchronise(json!({})).await;
    assert_eq!(instance.zone_text("unsaved.txt").await.unwrap(), "precious");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let blocks = json!([
        {"type": "entrypoint", "label": "Web", "port": 8765, "expose": true,
         "command": "exec python3 -u -m http.server --bind 0.0.0.0 8765"}]);
    let taken = TcpListener::bind("0.0.0.0:8765").unwrap();
    let instance = Instance::with(blocks, &["--readiness-limit-s", "3"]).await;
    let why = failed_start(&instance).await;
    assert!(why.contains("8765") && why.to_lowercase().contains("in use"), "{why}");
    drop(taken);
}

#[tokio::test]
async fn an_entrypoint_that_ends_at_once_or_never_listens_fails_the_start_with_its_reason() {
    for (command, reason) in [("echo cannot >&2; exit 3", "3"), ("sleep 1000", "nobody listens")] {
        let blocks = json!([
            {"type": "entrypoint", "label": "Web", "port": 8000, "expose": true, "command": command}]);
        let instance = Instance::with(blocks, &["--readiness-limit-s", "3"]).await;
        let why = failed_start(&instance).await;
        assert!(
            why.contains("readiness") && why.to_lowercase().contains(reason),
            "{command}: {why}"
        );
        assert_eq!(one_agent(&instance), 0);
    }
}

async fn failed_start(instance: &Instance) -> String {
    let task = instance.call(Method::POST, &instance.at("/start"), None).await;
    let task = format!("/tasks/{}?wait=60", task["id"].as_str().unwrap());
    let done = instance.get(&task).await;
    assert_eq!(done["state"], "failed", "{done}");
    let studio = instance.get(&instance.at("")).await;
    assert_eq!((&studio["state"], &studio["failure"]), (&json!("STOPPED"), &done["failure"]));
    done["failure"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_folder_serves_one_program() {
    let instance = Instance::new().await;
    let second = crate::instance::atelier()
        .args(["up", "--no-sample", "--listen", "127.0.0.1:0", "--data"])
        .arg(instance.path("data"))
        .args(["--agent-binary", env!("CARGO_BIN_EXE_atelier")])
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("uses"), "{second:?}");
}
