//! An API server that answers nobody for a while, in the middle of things. Apart from the other suites, whose cluster it is too:
//! run by `make test-kube` after them, on a cluster of this machine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code,
    reason = "a test may fail anywhere, has patience of its own, shows the program's log, and uses a part of what suites share"
)]

#[path = "../kube/cluster.rs"]
mod cluster;
#[path = "../kube/events.rs"]
mod events;
mod expired;
#[path = "../kube/impostor.rs"]
mod impostor;
#[path = "../kube/instance.rs"]
mod instance;
#[path = "../kube/link.rs"]
mod link;
mod node;

use std::{process::Command, time::Duration};

use instance::Instance;
use reqwest::Method;

/// How long it is away: longer than a request waits.
const AWAY: Duration = Duration::from_secs(15);

/// The API server, held; it goes on when this is dropped.
struct Held(String);

impl Held {
    fn new() -> Self {
        let held = Self(cluster::setting("ATELIER_TEST_API_SERVER_PID"));
        held.signal("-STOP");
        held
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0]).status().unwrap().success());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Does it with the API server away after some milliseconds.
async fn with_an_outage(instance: &Instance, verb: &str, after_ms: u64) {
    let task = instance.call(Method::POST, &instance.at(&format!("/{verb}")), None).await;
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    let held = Held::new();
    tokio::time::sleep(AWAY).await;
    drop(held);
    let task = format!("/tasks/{}", task["id"].as_str().unwrap());
    let done = instance.until(&task, |task| task["state"] != "running").await;
    assert_eq!(done["state"], "succeeded", "{verb}, {after_ms} ms: {done}");
}

#[tokio::test]
async fn starts_and_stops_go_on_after_an_outage_and_what_runs_does_not_notice_one() {
    let instance = Instance::new().await;
    for after_ms in [0, 60, 500] {
        with_an_outage(&instance, "start", after_ms).await;
        let name = format!("at-{after_ms}.txt");
        instance.write(&name, "kept").await;
        let held = Held::new();
        assert_eq!(instance.exec("echo here").await.0, "here\n");
        assert_eq!(instance.app(8000, "/index.html").await.0, 200);
        drop(held);
        with_an_outage(&instance, "stop", after_ms).await;
        assert_eq!(instance.zone_text(&name).await.as_deref(), Some("kept"));
        instance.until_gone().await;
    }
}
