//! Commands, actions, terminals and logs of a running studio.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::instance::Instance;

#[tokio::test]
async fn an_action_streams_its_output_and_its_exit_code_is_exact() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let run = instance
        .call(
            Method::POST,
            &instance.at("/actions/count/runs"),
            Some(json!({"inputs": {"UPTO": "5"}})),
        )
        .await;
    let session = run["id"].as_str().unwrap().to_owned();
    let ended = instance
        .until(&instance.at(&format!("/sessions/{session}")), |session| session["exit"].is_object())
        .await;
    assert_eq!(ended["exit"]["code"], 7);
    let (_, events) = instance
        .send(Method::GET, &instance.at(&format!("/sessions/{session}/output")), None)
        .await;
    let events = events.as_str().unwrap();
    assert!(events.contains("event: output") && events.trim_end().contains("event: exit"));
    assert!(events.contains("stderr"), "channels are apart: {events}");
}

#[tokio::test]
async fn a_terminal_is_joined_resized_left_and_joined_again() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let body = json!({"command": [], "terminal": {"columns": 80, "rows": 24}, "stdin": true});
    let session = instance.call(Method::POST, &instance.at("/sessions"), Some(body)).await;
    let session = session["id"].as_str().unwrap().to_owned();
    let join = |from: usize| {
        let url = format!(
            "{}/api/v1{}?from={from}",
            instance.url.replace("http://", "ws://"),
            instance.at(&format!("/sessions/{session}/attach"))
        );
        let mut request = url.into_client_request().unwrap();
        let key = format!("Bearer {}", instance.key);
        request.headers_mut().insert("authorization", key.parse().unwrap());
        tokio_tungstenite::connect_async(request)
    };
    let (mut socket, _) = join(0).await.unwrap();
    let resize = json!({"type": "resize", "columns": 101, "rows": 33}).to_string();
    socket.send(Message::text(resize)).await.unwrap();
    socket.send(Message::binary(&b"stty size; echo end-$((1+1))\n"[..])).await.unwrap();
    let seen = read_until(&mut socket, "end-2").await;
    assert!(seen.contains("33 101"), "{seen:?}");
    // Gone without a word; the shell goes on.
    drop(socket);
    let (mut socket, _) = join(0).await.unwrap();
    let seen = read_until(&mut socket, "end-2").await;
    assert!(seen.contains("33 101"), "what was shown is shown again: {seen:?}");
    socket.send(Message::binary(&b"exit 5\n"[..])).await.unwrap();
    let exit = loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            break serde_json::from_str::<Value>(&text).unwrap();
        }
    };
    assert_eq!((&exit["type"], &exit["code"]), (&json!("exit"), &json!(5)));
}

async fn read_until(
    socket: &mut tokio_tungstenite::WebSocketStream<
        tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    >,
    end: &str,
) -> String {
    let mut seen = String::new();
    let read = async {
        while !seen.contains(end) {
            if let Message::Binary(data) = socket.next().await.unwrap().unwrap() {
                assert_eq!(data[0], 3, "a terminal's channel");
                seen.push_str(&String::from_utf8_lossy(&data[1..]));
            }
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert!(done.is_ok(), "{seen:?}");
    seen
}

#[tokio::test]
async fn a_page_of_another_origin_joins_no_terminal() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let url = format!(
        "{}/api/v1{}",
        instance.url.replace("http://", "ws://"),
        instance.at("/sessions/x/attach")
    );
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("cookie", "atelier-session=whatever".parse().unwrap());
    headers.insert("origin", "http://evil.example".parse().unwrap());
    let refused = tokio_tungstenite::connect_async(request).await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert!([401, 403].contains(&answer.status().as_u16()), "{}", answer.status());
}

#[tokio::test]
async fn logs_are_followed_and_kept_when_the_pod_is_gone() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let log = instance.at("/logs/web?tail=50");
    let live =
        instance.until(&log, |log| log.as_str().is_some_and(|log| log.contains("begins"))).await;
    assert!(live.as_str().unwrap().contains("begins"));
    let kept = instance.path("data/logs").join(&instance.studio);
    // Kept as it comes; then killed, so that nobody could have saved it in the end.
    while std::fs::read_dir(&kept).map_or(0, Iterator::count) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = nix::unistd::Pid::from_raw(instance.agent_pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let lost = instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
    assert!(lost["failure"].as_str().unwrap().contains("the pod has ended"), "{lost}");
    let (status, after) = instance.send(Method::GET, &log, None).await;
    assert_eq!(status, 200);
    assert!(after.as_str().unwrap().contains("begins"), "{after}");
}

#[tokio::test]
async fn entrypoints_are_restarted_and_files_of_the_container_read_and_written() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    instance.call(Method::POST, &instance.at("/entrypoints/web/restart"), None).await;
    instance
        .until(&instance.at(""), |studio| studio["entrypoints"][0]["readiness"] == "ready")
        .await;
    let (status, _) =
        instance.send(Method::POST, &instance.at("/entrypoints/web/explode"), None).await;
    assert_eq!(status, 422);
    instance.exec("echo inside > note.txt").await;
    let listed = instance.get(&instance.at("/files?path=")).await;
    assert!(listed["items"].as_array().unwrap().iter().any(|file| file["name"] == "note.txt"));
    let (_, content) =
        instance.send(Method::GET, &instance.at("/files/content?path=note.txt"), None).await;
    assert_eq!(content, "inside\n");
}
