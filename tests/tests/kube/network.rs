//! The network between the pod and the program is cut for a minute, in the middle of a synchronisation and of a command.

use std::{process::Command, time::Duration};

use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    instance::{Instance, blocks},
    link::Link,
};

/// How long it is cut: longer than any side waits for the other.
const AWAY: Duration = Duration::from_mins(1);
/// Writes and says a line ten times a second, for longer than the cut.
const WORKLOAD: &str = "i=0; while [ $i -lt 750 ]; do i=$((i+1)); echo $i; echo $i >> code_studio-versioned/log.txt; sleep 0.1; done";

/// What the workload says, as one reader gets it who comes again where he was.
async fn read_all(instance: &Instance, session: &str) -> String {
    let (mut text, mut from) = (Vec::new(), 0);
    loop {
        let path = instance.at(&format!("/sessions/{session}/output?from={from}"));
        // While the way to the studio is cut, there is nothing to read.
        let Some(mut events) = instance.stream(&path).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        while let Some((name, data)) = events.next().await {
            match name.as_str() {
                "output" => {
                    assert_eq!(data["offset"], from, "nothing is lost or told twice");
                    let bytes = BASE64.decode(data["data"].as_str().unwrap().as_bytes()).unwrap();
                    from += bytes.len();
                    text.extend(bytes);
                }
                "exit" => {
                    assert_eq!(data["code"], 0, "{data}");
                    return String::from_utf8(text).unwrap();
                }
                "gap" => panic!("{data} is lost"),
                _ => (),
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let said = Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(said.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_minute_without_a_network_loses_no_byte_and_ends_nothing() {
    let link = Link::new().await;
    let instance = Instance::behind(&link, blocks()).await;
    instance.bring("start").await;
    let body = json!({"command": ["sh", "-c", WORKLOAD]});
    let session = instance.call(Method::POST, &instance.at("/sessions"), Some(body)).await;
    let session = session["id"].as_str().unwrap();
    let pod = instance.namespace.pod();

    let cut = async {
        let made = instance.exec("head -c 24000000 /dev/urandom > code_studio-versioned/big.bin; sha256sum < code_studio-versioned/big.bin").await;
        assert_eq!(made.1, 0);
        link.limit(3_000_000);
        let task = instance.call(Method::POST, &instance.at("/sync"), Some(json!({}))).await;
        link.until_passed(6_000_000).await;
        link.cut();
        tokio::time::sleep(AWAY).await;
        link.limit(0);
        link.mend();
        // It may have been given up; then it says so, and the next goes on.
        let task = format!("/tasks/{}", task["id"].as_str().unwrap());
        instance.until(&task, |task| task["state"] != "running").await;
        instance.until_connected().await;
        instance.synchronise(json!({})).await;
        let digest = made.0.split(' ').next().unwrap().to_owned();
        assert_eq!(sha256(&instance.zone_bytes("big.bin").await.unwrap()), digest);
    };
    let (said, ()) = tokio::join!(read_all(&instance, session), cut);
    let lines: Vec<String> = (1..=750).map(|number| number.to_string()).collect();
    let expected = lines.join("\n") + "\n";
    assert_eq!(said, expected);
    let studio: Value = instance.get(&instance.at("")).await;
    assert_eq!((&studio["state"], instance.namespace.pod()), (&json!("RUNNING"), pod));
    instance.bring("stop").await;
    instance.until_gone().await;
    assert_eq!(instance.zone_text("log.txt").await.unwrap(), expected);
}
