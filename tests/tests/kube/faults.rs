//! What happens when things end in the middle.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::{
    instance::{Instance, blocks},
    link::Link,
};

/// After how many milliseconds of a start or a stop the program is killed.
const MOMENTS: [u64; 5] = [50, 300, 900, 1800, 3500];

#[tokio::test]
async fn a_program_killed_in_the_middle_of_a_start_goes_on_with_it() {
    let mut instance = Instance::new().await;
    for moment in MOMENTS {
        let task = instance.call(Method::POST, &instance.at("/start"), None).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        instance.kill();
        instance.start().await;
        let task = format!("/tasks/{}", task["id"].as_str().unwrap());
        let done = instance.until(&task, |task| task["state"] != "running").await;
        assert_eq!(done["state"], "succeeded", "{moment} ms: {done}");
        assert_eq!(instance.namespace.ours("deployments").len(), 1);
        instance.until_served(8000, "/index.html").await;
        instance.bring("stop").await;
        instance.until_gone().await;
    }
}

#[tokio::test]
async fn a_program_killed_in_the_middle_of_a_stop_loses_no_file() {
    let mut instance = Instance::new().await;
    for moment in MOMENTS {
        instance.bring("start").await;
        let name = format!("at-{moment}.txt");
        instance.write(&name, "kept").await;
        let task = instance.call(Method::POST, &instance.at("/stop"), None).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        instance.kill();
        instance.start().await;
        let task = format!("/tasks/{}", task["id"].as_str().unwrap());
        instance.until(&task, |task| task["state"] != "running").await;
        instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
        instance.until_gone().await;
        assert_eq!(instance.zone_text(&name).await.as_deref(), Some("kept"), "{moment} ms");
    }
}

#[tokio::test]
async fn a_running_studio_never_notices_that_the_program_is_killed() {
    let mut instance = Instance::new().await;
    instance.bring("start").await;
    let (pod, before) =
        (instance.namespace.pod(), instance.exec("ps | grep -v grep | grep httpd | head -1").await);
    instance.kill();
    instance.start().await;
    let again = |studio: &serde_json::Value| studio["state"] == "RUNNING";
    instance.until(&instance.at(""), again).await;
    instance.until_connected().await;
    assert_eq!(instance.exec("ps | grep -v grep | grep httpd | head -1").await, before);
    assert_eq!(instance.namespace.pod(), pod);
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn of_two_programs_by_mistake_one_acts_and_the_other_takes_over_when_it_is_gone() {
    let mut first = Instance::new().await;
    first.bring("start").await;
    // Somebody starts a second one on a copy of its data.
    let second = first.copy().await;
    second.call(Method::POST, &second.at("/stop"), None).await;
    second.until_logged("another program acts for this installation").await;
    assert_eq!(first.get(&first.at("")).await["state"], "RUNNING");
    assert_eq!(first.exec("echo here").await.0, "here\n");
    first.bring("stop").await;
    first.until_gone().await;
    first.kill();
    // The stop is still wanted; it comes to its end once the Lease is over.
    second.until(&second.at(""), |studio| studio["state"] == "STOPPED").await;
    second.bring("start").await;
    assert_eq!(second.exec("echo here").await.0, "here\n");
    second.bring("stop").await;
    second.until_gone().await;
}

#[tokio::test]
async fn files_of_an_evicted_pod_are_brought_back() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.write("work.txt", "of the evicted").await;
    let pod = instance.namespace.pod();
    // What an eviction does, and a node's drain: SIGTERM and the grace.
    instance.namespace.kubectl(&["delete", "pod", &pod, "--wait=false"]);
    let studio = instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
    let failure = studio["failure"].as_str().unwrap();
    assert!(failure.contains("evicted") || failure.contains("exit code 0"), "{failure}");
    assert_eq!(instance.zone_text("work.txt").await.as_deref(), Some("of the evicted"));
    instance.until_gone().await;
}

/// Work of one second, which is named by when it was done.
const WORK: &str = "i=0; while :; do i=$((i+1)); date +%s >> code_studio-versioned/log.txt; \
    echo $i > code_studio-versioned/new-$((i%5)).txt; sleep 1; done";

#[tokio::test]
async fn at_most_five_seconds_of_work_are_lost_with_a_pod() {
    let link = Link::new().await;
    let instance = Instance::behind(&link, blocks()).await;
    instance.bring("start").await;
    instance.write("log.txt", "").await;
    instance.exec("head -c 3000000 /dev/urandom > code_studio-versioned/data.bin").await;
    instance.synchronise(json!({})).await;
    let body = json!({"command": ["sh", "-c", WORK]});
    instance.call(Method::POST, &instance.at("/sessions"), Some(body)).await;
    let sum = instance
        .exec("cd code_studio-versioned; printf X | dd of=data.bin bs=1 seek=1000000 conv=notrunc; sha256sum < data.bin; mkdir -p deep/er; echo kept > deep/er/x")
        .await
        .0;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let pod = instance.namespace.pod();
    let last: u64 =
        instance.exec("tail -n 1 code_studio-versioned/log.txt").await.0.trim().parse().unwrap();
    // The pod is gone from one moment to the next, as with its node: its agent can't save anything any more.
    link.cut();
    instance.namespace.kubectl(&["delete", "pod", &pod, "--force", "--grace-period=0"]);
    let studio = instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
    assert!(studio["failure"].as_str().unwrap().contains("come with the next start"), "{studio}");
    link.mend();
    assert_eq!(instance.zone_text("log.txt").await.unwrap(), "", "the zone is not touched");
    instance.bring("start").await;
    let log = instance.zone_text("log.txt").await.unwrap();
    let kept: u64 = log.trim().lines().last().unwrap().parse().unwrap();
    println!("{} s of work lost", last - kept);
    assert!(last - kept <= 5, "{last} was the last, {kept} is there");
    assert_eq!(instance.zone_text("deep/er/x").await.unwrap(), "kept\n");
    assert!(instance.zone_text("new-1.txt").await.is_some());
    let there =
        instance.exec("cd code_studio-versioned; sha256sum < data.bin; cat deep/er/x").await.0;
    assert_eq!(there, format!("{sum}kept\n"));
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn files_of_a_killed_agent_are_there_at_the_next_start_where_they_have_a_volume() {
    let claim = json!({"workspace": {"kind": "claim", "size": "1Gi"}});
    let instance = Instance::with(blocks(), claim).await;
    instance.bring("start").await;
    instance.write("work.txt", "of the killed").await;
    let pod = instance.namespace.pod();
    instance.namespace.kubectl(&["delete", "pod", &pod, "--force", "--grace-period=0"]);
    instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
    instance.bring("start").await;
    assert_eq!(instance.exec("cat code_studio-versioned/work.txt").await.0, "of the killed");
    instance.bring("stop").await;
    assert_eq!(instance.zone_text("work.txt").await.as_deref(), Some("of the killed"));
    instance.until_gone().await;
}
