//! Files between the studio and the server, over REST.

use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::Instance;

fn mount<'a>(result: &'a Value, id: &str) -> &'a Value {
    result["mounts"].as_array().unwrap().iter().find(|mount| mount["mount"] == id).unwrap()
}

const OWN: &str = "code_studio-versioned";

#[tokio::test]
async fn edits_travel_both_ways_as_commits_and_a_stop_brings_everything_back() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    assert_eq!(instance.exec("cat code_studio-versioned/start.txt").await.0, "begin\n");
    instance.write("mine.txt", "from the studio").await;
    instance.write("left-out.tmp", "x").await;
    let result = instance.synchronise(json!({})).await;
    assert_eq!(result["commits"].as_array().unwrap().len(), 1);
    assert_eq!(instance.zone_text("mine.txt").await.unwrap(), "from the studio");
    assert_eq!(instance.zone_text("left-out.tmp").await, None);
    let history = instance.get(&instance.zone("/history?path=mine.txt")).await;
    assert_eq!(history["items"][0]["author"], "Administrator");
    assert_eq!(history["items"][0]["studio"], instance.studio.as_str());

    instance.put_zone_text("theirs.txt", "from the server").await;
    let check = instance.synchronise(json!({"direction": "check"})).await;
    assert_eq!(mount(&check, OWN)["to_studio"][0]["path"], "theirs.txt");
    assert_eq!(instance.exec("cat code_studio-versioned/theirs.txt").await.1, 1, "not moved");
    instance.synchronise(json!({"direction": "push"})).await;
    assert_eq!(instance.exec("cat code_studio-versioned/theirs.txt").await.0, "from the server");

    instance.write("late.txt", "not synchronised").await;
    let stopped = instance.bring("stop").await;
    assert_eq!(stopped["result"]["message"], "all files are back");
    assert_eq!(instance.zone_text("late.txt").await.unwrap(), "not synchronised");
    instance.bring("start").await;
    assert_eq!(instance.exec("cat code_studio-versioned/late.txt").await.0, "not synchronised");
}

#[tokio::test]
async fn what_a_synchronisation_displaced_comes_back_from_the_trash() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.put_zone_text("deleted.txt", "not lost").await;
    instance.put_zone_text("replaced.txt", "the first").await;
    instance.synchronise(json!({})).await;
    instance.exec("cd code_studio-versioned && rm deleted.txt && echo second > replaced.txt").await;
    instance.synchronise(json!({})).await;
    assert_eq!(instance.zone_text("deleted.txt").await, None);
    let trash = instance.get(&instance.zone("/trash")).await;
    let item = |path: &str| {
        let items = trash["items"].as_array().unwrap();
        items.iter().find(|item| item["path"] == path).unwrap_or_else(|| panic!("{trash}"))
    };
    assert_eq!(
        (&item("deleted.txt")["size"], &item("replaced.txt")["size"]),
        (&json!(8), &json!(9))
    );
    let restore = |id: &Value| instance.zone(&format!("/trash/{}/restore", id.as_str().unwrap()));
    let back = restore(&item("deleted.txt")["id"]);
    assert_eq!(instance.send(Method::POST, &back, None).await.0, 200);
    assert_eq!(instance.zone_text("deleted.txt").await.unwrap(), "not lost");
    // Something has its name: it is not overwritten.
    let taken = restore(&item("replaced.txt")["id"]);
    assert_eq!(instance.send(Method::POST, &taken, None).await.0, 409);
    let left = instance.get(&instance.zone("/trash")).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left}");
}

#[tokio::test]
async fn a_conflict_is_reported_compared_and_resolved_each_way() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    for (keep, server, copies) in [
        ("studio", "one\ntwo of the studio\nthree\n", 0),
        ("server", "one of the server\ntwo\nthree\n", 0),
        ("both", "one of the server\ntwo\nthree\n", 1),
    ] {
        let path = format!("{keep}.txt");
        instance.put_zone_text(&path, "one\ntwo\nthree\n").await;
        instance.synchronise(json!({})).await;
        instance.put_zone_text(&path, "one of the server\ntwo\nthree\n").await;
        instance
            .exec(&format!("sed -i 's/^two$/two of the studio/' code_studio-versioned/{path}"))
            .await;
        let result = instance.synchronise(json!({})).await;
        let conflict = mount(&result, OWN)["conflicts"][0].clone();
        assert_eq!((&conflict["path"], &conflict["kind"]), (&json!(path), &json!("edit_edit")));
        assert_eq!(conflict["studio"]["author"], "admin");
        let shown = instance.get(&instance.at("")).await;
        assert_eq!(shown["conflicts"], 1);
        let comparison =
            instance.get(&instance.at(&format!("/conflicts/diff?mount={OWN}&path={path}"))).await;
        assert!(comparison["diff"].as_str().unwrap().contains("+two of the studio"));
        let decision = json!({"resolutions": [
            {"mount": OWN, "path": path, "keep": keep, "token": conflict["token"]}]});
        instance.synchronise(decision).await;
        assert_eq!(instance.zone_text(&path).await.unwrap(), server, "{keep}");
        let (copied, _) = instance
            .exec(&format!("ls code_studio-versioned | grep -c '{path}.conflict-lab-'"))
            .await;
        assert_eq!(copied.trim(), copies.to_string(), "{keep}");
        assert_eq!(instance.get(&instance.at("/conflicts")).await["conflicts"], json!([]));
    }
}

#[tokio::test]
async fn a_conflict_at_a_stop_becomes_two_files_and_is_no_longer_open() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.put_zone_text("a.txt", "before").await;
    instance.synchronise(json!({})).await;
    instance.put_zone_text("a.txt", "of the server").await;
    instance.write("a.txt", "of the studio").await;
    instance.synchronise(json!({})).await;
    assert_eq!(instance.get(&instance.at("")).await["conflicts"], 1);
    let stopped = instance.bring("stop").await;
    let said = stopped["result"]["message"].as_str().unwrap();
    assert!(said.contains("1 conflicts were kept as two files"), "{said}");
    let files = instance.get(&instance.zone("/files?path=")).await.to_string();
    assert!(files.contains("a.txt.conflict-lab-"), "{files}");
    assert_eq!(instance.zone_text("a.txt").await.unwrap(), "of the server");
    assert_eq!(instance.get(&instance.at("")).await["conflicts"], 0);
}

#[tokio::test]
async fn edits_of_different_lines_merge() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let lines = |first: &str, last: &str| format!("{first}\nb\nc\nd\ne\nf\n{last}\n");
    instance.put_zone_text("m.txt", &lines("a", "g")).await;
    instance.synchronise(json!({})).await;
    instance.put_zone_text("m.txt", &lines("a of the server", "g")).await;
    instance.exec("sed -i 's/^g$/g of the studio/' code_studio-versioned/m.txt").await;
    instance.synchronise(json!({})).await;
    let decision = json!({"resolutions": [{"mount": OWN, "path": "m.txt", "keep": "merge"}]});
    instance.synchronise(decision).await;
    let merged = lines("a of the server", "g of the studio");
    assert_eq!(instance.zone_text("m.txt").await.unwrap(), merged);
    assert_eq!(instance.exec("cat code_studio-versioned/m.txt").await.0, merged);
}

#[tokio::test]
async fn hostile_requests_are_refused_with_a_reason() {
    let instance = Instance::new().await;
    let sync = instance.at("/sync");
    let (status, answer) = instance.send(Method::POST, &sync, Some(json!({}))).await;
    assert_eq!(status, 409, "it does not run: {answer}");
    instance.bring("start").await;
    for (body, status) in [
        (json!({"mounts": ["nope"]}), 404),
        (json!({"direction": "sideways"}), 400),
        (json!({"unknown": 1}), 400),
        (json!({"resolutions": [{"mount": OWN, "path": "../x", "keep": "studio"}]}), 422),
        (json!({"resolutions": [{"mount": OWN, "path": "/etc/passwd", "keep": "both"}]}), 422),
        (json!({"resolutions": [{"mount": OWN, "keep": "both"}]}), 422),
        (json!({"resolutions": [{"mount": OWN, "path": "a", "keep": "both", "token": "zz"}]}), 422),
    ] {
        let (got, answer) = instance.send(Method::POST, &sync, Some(body.clone())).await;
        assert_eq!(got, status, "{body}: {answer}");
        assert!(!answer["detail"].as_str().unwrap_or_default().is_empty(), "{body}: {answer}");
    }
    // A link that leads out of the mount stays a link, on both sides, and is never followed.
    instance.exec("ln -s /etc code_studio-versioned/way").await;
    instance.synchronise(json!({})).await;
    let listed = instance.get(&instance.zone("/files?path=")).await;
    let link = listed["items"].as_array().unwrap().iter().find(|it| it["name"] == "way").unwrap();
    assert_eq!(link["kind"], "symlink");
    let (status, _) =
        instance.send(Method::GET, &instance.zone("/content?path=way/passwd"), None).await;
    assert!(status >= 400);
}
