//! Files on the server, their history and their trash.

use super::{Ended, World};

const ZONE: &str = "project:SALES:notebooks";

#[tokio::test]
async fn files_are_put_listed_read_and_had_back() {
    let world = World::new().await;
    world.json(&["project", "create", "SALES", "Sales"]).await;
    let bytes = [b'a', 0, 0xff, b'\n'];
    let put = ["zone", "put", ZONE, "data/all.bin"];
    assert_eq!(world.piped(&put, &bytes).await.0, 0);
    let file = world.folder.path().join("second");
    std::fs::write(&file, "second\n").unwrap();
    let put = ["zone", "put", "-p", "SALES", "-z", "notebooks", "data/text", "-f"];
    let written = world.json(&[&put[..], &[file.to_str().unwrap()]].concat()).await;
    let etag = written["etag"].as_str().unwrap().to_owned();

    let files = world.json(&["zone", "ls", ZONE, "data/"]).await;
    assert_eq!(files[0]["name"], "all.bin");
    assert_eq!(files[0]["size"], 4);
    assert_eq!(world.call(&["zone", "cat", ZONE, "data/text"]).await, Ended(0, "second\n".into()));
    let new = ["zone", "put", "--new", ZONE, "data/text"];
    assert_eq!(world.piped(&new, b"lost").await.0, 5, "there is one");
    let over = ["zone", "put", ZONE, "data/text", "--if-match", &etag];
    assert_eq!(world.piped(&over, b"third\n").await.0, 0);
    assert_eq!(world.piped(&over, b"lost").await.0, 5, "it is another version by now");

    let history = world.json(&["zone", "history", ZONE, "data/text"]).await;
    let commits: Vec<&str> =
        history.as_array().unwrap().iter().map(|c| c["commit"].as_str().unwrap()).collect();
    assert_eq!(commits.len(), 2, "{history}");
    let one = world.json(&["zone", "history", ZONE, "--limit", "1"]).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    let Ended(code, shown) = world.call(&["zone", "show", ZONE, "--commit", commits[0]]).await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("-second") && shown.contains("+third"), "{shown}");
    let show = ["zone", "show", ZONE, "data/al", "--commit", commits[0]];
    assert_eq!(world.json(&show).await["changes"].as_array().unwrap().len(), 0, "another path");
    let old = ["zone", "cat", ZONE, "data/text", "--commit", commits[1]];
    assert_eq!(world.call(&old).await.1, "second\n");
    let restore = ["zone", "restore", ZONE, "data/text", "--commit", commits[1]];
    assert_eq!(world.json(&restore).await["path"], "data/text");
    assert_eq!(world.call(&["zone", "cat", ZONE, "data/text"]).await.1, "second\n");
}

#[tokio::test]
async fn what_is_deleted_waits_in_the_trash() {
    let world = World::new().await;
    let zone = ["-z", "user-resources"];
    let with = |verb: &[&'static str]| [&["zone"], &verb[..1], &zone[..], &verb[1..]].concat();
    assert_eq!(world.call(&with(&["mkdir", "kept"])).await, Ended(0, String::new()));
    assert_eq!(world.piped(&with(&["put", "kept/a"]), b"precious").await.0, 0);
    assert_eq!(world.call(&with(&["rm", "kept/a"])).await, Ended(0, String::new()));
    assert_eq!(world.call(&with(&["cat", "kept/a"])).await.0, 3);
    let trash = world.json(&with(&["trash"])).await;
    let id = trash[0]["id"].as_str().unwrap();
    let restore = [&with(&["restore"])[..], &["--trash", id]].concat();
    assert_eq!(world.json(&restore).await["path"], "kept/a");
    assert_eq!(world.call(&with(&["cat", "kept/a"])).await, Ended(0, "precious".into()));
    assert_eq!(world.call(&with(&["rm", "kept"])).await, Ended(0, String::new()));
    let trash = world.json(&with(&["trash"])).await;
    assert_eq!(
        (trash[0]["path"].as_str(), trash[0]["kind"].as_str()),
        (Some("kept"), Some("folder"))
    );
    let open = [&with(&["trash"])[..], &["--open", trash[0]["id"].as_str().unwrap()]].concat();
    let inside = world.json(&open).await;
    assert_eq!(inside[0]["path"], "kept/a");
    let one = [&with(&["restore"])[..], &["--trash", inside[0]["id"].as_str().unwrap()]].concat();
    assert_eq!(world.json(&one).await["path"], "kept/a");
    assert_eq!(world.json(&open).await.as_array().unwrap().len(), 0);
    assert_eq!(world.call(&with(&["restore"])).await.0, 2, "a commit or an item of the trash");
    assert_eq!(world.call(&with(&["history"])).await.0, 5, "it is not versioned");
}

#[tokio::test]
async fn zones_are_named_by_their_text_or_from_a_studio() {
    let world = World::new().await;
    world.json(&["project", "create", "SALES", "Sales"]).await;
    world.template("T").await;
    world.json(&["studio", "create", "mine", "-t", "T", "-p", "SALES"]).await;
    assert_eq!(world.json(&["zone", "ls"]).await[0]["zone"], "user:admin:user-versioned");
    let zones = world.json(&["zone", "ls", "-s", "mine"]).await;
    let named = |kind: &str| zones.as_array().unwrap().iter().any(|zone| zone["kind"] == kind);
    assert!(named("code_studio-versioned") && named("notebooks"), "{zones}");
    let put = ["zone", "put", "-s", "mine", "-z", "code_studio-versioned", "x"];
    assert_eq!(world.piped(&put, b"1").await.0, 0);
    let Ended(code, why) = world.call(&["zone", "cat", "-z", "notebooks", "x"]).await;
    assert_eq!((code, why.contains("user-versioned")), (2, true), "mine has none: {why}");
    assert_eq!(world.call(&["zone", "cat", ZONE]).await.0, 2, "no path");
    assert_eq!(world.call(&["zone", "cat", ZONE, "../x"]).await.0, 2);
    assert_eq!(world.call(&["zone", "cat", "project:NONE:notebooks", "x"]).await.0, 3);
}
