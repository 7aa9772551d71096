//! Mounts that are set while they are used, and what is told of them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::{Instance, blocks};

const OWN: &str = "code_studio-versioned";
const OTHER: &str = "code_studio-resources";

async fn mount(instance: &Instance, id: &str) -> Value {
    let all = instance.get(&instance.at("/mounts")).await;
    let found = all["items"].as_array().unwrap().iter().find(|mount| mount["id"] == id).cloned();
    found.unwrap_or_else(|| panic!("{all}"))
}

async fn set(instance: &Instance, id: &str, body: Value) -> Value {
    instance.call(Method::PATCH, &instance.at(&format!("/mounts/{id}")), Some(body)).await
}

/// A file of a zone of the studio's, as soon as it is there.
async fn arrives(instance: &Instance, zone: &str, path: &str) {
    let files = format!("/zones/studio:{}:{zone}/files?path=", instance.studio);
    let there = |listed: &Value| {
        let mut files = listed["items"].as_array().unwrap().iter();
        files.any(|file| file["name"] == path)
    };
    instance.until(&files, there).await;
}

#[tokio::test]
async fn live_mode_is_switched_while_a_studio_runs_and_stays_over_every_restart() {
    let mut instance = Instance::new().await;
    let (status, answer) = instance
        .send(Method::PATCH, &instance.at(&format!("/mounts/{OWN}")), Some(json!({"live": true})))
        .await;
    assert_eq!(status, 409, "it has no mounts yet: {answer}");
    instance.bring("start").await;
    assert_eq!(mount(&instance, OWN).await["live"], false);
    for id in [OWN, OTHER] {
        assert_eq!(set(&instance, id, json!({"live": true})).await["live"], true);
        instance.exec(&format!("echo x > {id}/first")).await;
        arrives(&instance, id, "first").await;
    }
    instance.put_zone_text("theirs", "x").await;
    let seen = format!("while ! test -e {OWN}/theirs; do sleep 0.05; done");
    assert_eq!(instance.exec(&seen).await.1, 0, "the other way round");
    let shown = instance.get(&instance.at("")).await;
    let own = shown["mounts"].as_array().unwrap().iter().find(|it| it["id"] == OWN).unwrap();
    assert_eq!(own["live"], true);

    let watched = |all: &Value| {
        let mut all = all["items"].as_array().unwrap().iter();
        all.any(|it| it["id"] == OWN && it["studio_sight"]["watching"] == true)
    };
    instance.kill();
    instance.start().await;
    instance.until(&instance.at("/mounts"), watched).await;
    instance.exec(&format!("echo x > {OWN}/after-a-kill")).await;
    arrives(&instance, OWN, "after-a-kill").await;
    instance.bring("stop").await;
    instance.bring("start").await;
    instance.until(&instance.at("/mounts"), watched).await;
    instance.exec(&format!("echo x > {OWN}/after-a-stop")).await;
    arrives(&instance, OWN, "after-a-stop").await;

    // What is written to the one that is off stays there, though the other one has told long ago.
    assert_eq!(set(&instance, OWN, json!({"live": false})).await["live"], false);
    let settled = |all: &Value| {
        let mut all = all["items"].as_array().unwrap().iter();
        all.any(|it| it["id"] == OWN && it["live"] == false && it["progress"].is_null())
    };
    instance.until(&instance.at("/mounts"), settled).await;
    instance.synchronise(json!({"direction": "check", "mounts": [OWN]})).await;
    instance.exec(&format!("echo x > {OWN}/off; echo x > {OTHER}/on")).await;
    arrives(&instance, OTHER, "on").await;
    assert_eq!(instance.zone_text("off").await, None);
    let result = instance.synchronise(json!({"mounts": [OWN]})).await;
    assert_eq!(result["mounts"][0]["to_server"][0]["path"], "off");
}

#[tokio::test]
async fn what_was_done_is_counted_over_restarts_and_told_as_metrics_to_administrators() {
    let mut instance = Instance::new().await;
    instance.bring("start").await;
    let filled = mount(&instance, OWN).await;
    assert_eq!(filled["last"]["cause"], "start");
    assert_eq!(filled["totals"]["moved"]["to_studio"], 1, "start.txt: {filled}");
    instance.write("mine.txt", "x").await;
    instance.put_zone_text("theirs.txt", "x").await;
    instance.synchronise(json!({"direction": "check"})).await;
    assert_eq!(mount(&instance, OWN).await["last"]["cause"], "start", "a look is no run");
    instance.synchronise(json!({})).await;
    let done = mount(&instance, OWN).await;
    assert_eq!((&done["last"]["cause"], &done["totals"]["runs"]), (&json!("asked"), &json!(2)));
    let moved = &done["last"]["moved"];
    assert_eq!((&moved["to_server"], &moved["to_studio"]), (&json!(1), &json!(1)));
    assert!(moved["bytes_sent"].as_u64().unwrap() > 0 && moved["bytes_received"] != 0);
    assert!(done["progress"].is_null());

    let (status, text) = instance.outside("/metrics", true).await;
    assert_eq!(status, 200, "{text}");
    let runs = text.lines().find_map(|line| {
        line.strip_prefix("atelier_sync_runs_total{cause=\"asked\",outcome=\"whole\"} ")
    });
    assert!(runs.unwrap().parse::<u64>().unwrap() >= 1, "{text}");
    assert_eq!(instance.outside("/metrics", false).await.0, 401);

    instance.end();
    instance.start().await;
    let found = mount(&instance, OWN).await;
    assert_eq!((&found["totals"], &found["last"]), (&done["totals"], &done["last"]));
    instance.until(&instance.at(""), |it| it["entrypoints"][0]["readiness"] == "ready").await;
    instance.synchronise(json!({})).await;
    assert_eq!(mount(&instance, OWN).await["totals"]["runs"], 3);
    // One that is killed loses the last moment's at most.
    instance.kill();
    instance.start().await;
    let runs = mount(&instance, OWN).await["totals"]["runs"].as_u64().unwrap();
    assert!((2..=3).contains(&runs), "{runs}");
}

#[tokio::test]
async fn progress_is_told_while_files_move() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let made = instance.exec(&format!("head -c 300000000 /dev/urandom > {OTHER}/large")).await;
    assert_eq!(made.1, 0);
    let body = json!({"mounts": [OTHER]});
    let task = instance.call(Method::POST, &instance.at("/sync"), Some(body)).await;
    let path = format!("/api/v1/tasks/{}/events", task["id"].as_str().unwrap());
    let (_, events) = instance.outside(&path, true).await;
    let told: Vec<Value> = events
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: progress\ndata: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let moving = told.iter().find(|progress| progress["in_flight"]["path"] == "large");
    let moving = moving.unwrap_or_else(|| panic!("{events}"));
    assert_eq!(moving["bytes_expected"], 300_000_000);
    assert_eq!(moving["in_flight"]["size"], 300_000_000);
    let bytes: Vec<u64> = told.iter().map(|it| it["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.is_sorted(), "{bytes:?}");
    assert!(events.contains("event: end\n"), "it ends with the task");
}

/// Neither side can watch: it says so, with the reason, and files travel all the same.
#[tokio::test]
async fn who_cant_watch_says_so_to_people_and_looks_again_and_again() {
    let mut all = blocks();
    all.as_array_mut().unwrap().retain(|block| block["type"] != "file_sync");
    let live = json!({"type": "file_sync", "mounts": [{"zone": OWN, "live": true}]});
    all.as_array_mut().unwrap().push(live);
    let instance = Instance::without_watches(all).await;
    instance.bring("start").await;
    let blind = |all: &Value| {
        let own = all["items"].as_array().unwrap().iter().find(|it| it["id"] == OWN).unwrap();
        ["server_sight", "studio_sight"].iter().all(|side| {
            let sight = &own[*side];
            sight["watching"] == false && sight["look_every_ms"].as_u64().is_some_and(|ms| ms > 0)
        })
    };
    let all = instance.until(&instance.at("/mounts"), blind).await;
    assert!(all.to_string().contains("max_user_instances"), "the reason: {all}");
    instance.write("mine.txt", "x").await;
    arrives(&instance, OWN, "mine.txt").await;
}

#[tokio::test]
async fn texts_that_both_sides_changed_are_merged_where_a_mount_is_set_so() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let (status, answer) = instance
        .send(Method::PATCH, &instance.at("/mounts/nope"), Some(json!({"merge": true})))
        .await;
    assert_eq!(status, 404, "{answer}");
    for id in [OWN, OTHER] {
        assert_eq!(set(&instance, id, json!({"merge": true})).await["merge"], true);
    }
    let lines = |first: &str, last: &str| format!("{first}\nb\nc\nd\ne\nf\n{last}\n");
    let put = async |zone: &str, path: &str, text: String| {
        let at = format!("/zones/studio:{}:{zone}/content?path={path}", instance.studio);
        instance.put(&at, text).await;
    };
    let edit = async |zone: &str, path: &str| {
        let line = format!("sed -i 's/^g$/g of the studio/' {zone}/{path}");
        assert_eq!(instance.exec(&line).await.1, 0);
    };
    let merged = lines("a of the server", "g of the studio");
    // The version that both had: in the history, or in the trash.
    for zone in [OWN, OTHER] {
        put(zone, "m.txt", lines("a", "g")).await;
        put(zone, "same-line.txt", lines("a", "g")).await;
        put(zone, "binary", lines("a", "g")).await;
        instance.synchronise(json!({"mounts": [zone]})).await;
        put(zone, "m.txt", lines("a of the server", "g")).await;
        put(zone, "same-line.txt", lines("a", "g of the server")).await;
        put(zone, "binary", lines("a\0", "g")).await;
        for path in ["m.txt", "same-line.txt", "binary"] {
            edit(zone, path).await;
        }
        let result = instance.synchronise(json!({"mounts": [zone]})).await;
        let done = &result["mounts"][0];
        assert_eq!(done["merged"], json!(["m.txt"]), "{zone}: {done}");
        let left: Vec<_> =
            done["conflicts"].as_array().unwrap().iter().map(|it| &it["path"]).collect();
        assert_eq!(left, ["binary", "same-line.txt"]);
        assert_eq!(instance.exec(&format!("cat {zone}/m.txt")).await.0, merged);
        let at = format!("/api/v1/zones/studio:{}:{zone}/content?path=m.txt", instance.studio);
        assert_eq!(instance.outside(&at, true).await.1, merged);
    }
    let history = instance.get(&instance.zone("/history?path=m.txt")).await;
    let newest = &history["items"][0];
    assert_eq!(newest["author"], "Administrator (merged automatically)");
    assert!(newest["message"].as_str().unwrap().contains("m.txt"), "{newest}");
    assert_eq!(mount(&instance, OWN).await["totals"]["moved"]["merged"], 1);

    // At a stop, where nobody can answer: the merge instead of two files.
    put(OWN, "late.txt", lines("a", "g")).await;
    instance.synchronise(json!({"mounts": [OWN]})).await;
    put(OWN, "late.txt", lines("a of the server", "g")).await;
    edit(OWN, "late.txt").await;
    instance.bring("stop").await;
    assert_eq!(instance.zone_text("late.txt").await.unwrap(), merged);
    let files = instance.get(&instance.zone("/files?path=")).await.to_string();
    assert!(!files.contains("late.txt.conflict"), "{files}");
    assert!(files.contains("same-line.txt.conflict"), "what does not merge is kept twice: {files}");
}

/// While a mount is live, nobody has to ask for the merge either.
#[tokio::test]
async fn a_live_mount_merges_by_itself() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.put_zone_text("m.txt", "a\nb\nc\nd\n").await;
    instance.synchronise(json!({})).await;
    instance.put_zone_text("m.txt", "A\nb\nc\nd\n").await;
    instance.exec(&format!("sed -i 's/^d$/D/' {OWN}/m.txt")).await;
    set(&instance, OWN, json!({"live": true, "merge": true})).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while instance.zone_text("m.txt").await.as_deref() != Some("A\nb\nc\nD\n") {
        assert!(Instant::now() < deadline, "{:?}", instance.zone_text("m.txt").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(instance.exec(&format!("cat {OWN}/m.txt")).await.0, "A\nb\nc\nD\n");
    assert_eq!(instance.get(&instance.at("/conflicts")).await["conflicts"], json!([]));
}
