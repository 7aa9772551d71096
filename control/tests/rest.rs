//! REST in a running studio: files, logs, terminals and entrypoints, of real programs.

#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

#[path = "support/programs.rs"]
mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};
use support::World;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

const TEMPLATE: &str = "
label: T
blocks:
- {type: entrypoint, label: Web, command: 'echo begun; while [ ! -e go ]; do sleep 0.05; done; echo went; exec sleep 1000'}
";
const SOON: Duration = Duration::from_secs(30);

/// A client of the API.
struct Rest {
    http: Client,
    url: Url,
    key: String,
}

impl Rest {
    fn of(world: &World) -> Self {
        let url: Url = world.url.parse().unwrap();
        let address = ([127, 0, 0, 1], url.port().unwrap()).into();
        let http = control::http_client::builder()
            .resolve(url.host_str().unwrap(), address)
            .build()
            .unwrap();
        Self { http, url, key: world.key.clone() }
    }

    fn host(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap(), self.url.port().unwrap())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.url.join(&format!("/api/v1{path}")).unwrap();
        self.http.request(method, url).bearer_auth(&self.key)
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.error_for_status().unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.request(Method::POST, path).json(&body).send().await.unwrap();
        let status = answer.status();
        let answer = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// With headers instead of the key.
    async fn socket(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Result<WebSocketStream<TcpStream>, StatusCode> {
        let stream = TcpStream::connect(("127.0.0.1", self.url.port().unwrap())).await.unwrap();
        let mut request =
            format!("ws://{}/api/v1{path}", self.host()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn problem(&self, request: RequestBuilder) -> (StatusCode, String) {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let status = answer.status();
        let problem: Value = answer.json().await.unwrap();
        (status, problem["type"].as_str().unwrap().to_owned())
    }
}

/// Reads on until a text was there.
async fn read_until(answer: &mut Response, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let piece = timeout(SOON, answer.chunk()).await.expect("it says no more").unwrap();
        let piece = piece.unwrap_or_else(|| panic!("it ended without {wanted}: {seen}"));
        seen.push_str(std::str::from_utf8(&piece).unwrap());
    }
    seen
}

#[test]
fn a_running_studio_over_rest() {
    let mut world = World::new(TEMPLATE);
    let rest = Rest::of(&world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let studio = world.json(&["studio", "list"])[0]["id"].as_str().unwrap().to_owned();
    let at = format!("/studios/{studio}");
    let log = runtime.block_on(async {
        let shown = rest.json(&at).await;
        assert_eq!(
            (&shown["state"], &shown["entrypoints"][0]["label"]),
            (&json!("RUNNING"), &json!("Web"))
        );
        let entrypoint = shown["entrypoints"][0]["id"].as_str().unwrap().to_owned();
        let log = format!("{at}/logs/{entrypoint}");
        files(&rest, &at).await;
        logs(&rest, &at, &log).await;
        terminal(&rest, &at).await;
        only_its_owner_and_only_our_pages(&rest, &at).await;
        let restart = format!("{at}/entrypoints/{entrypoint}/restart");
        rest.post(&restart, json!({})).await;
        let mut followed = rest.get(&format!("{log}?follow=true")).await;
        read_until(&mut followed, "went\nbegun\nwent\n").await;
        let dance = rest.request(Method::POST, &format!("{at}/entrypoints/{entrypoint}/dance"));
        assert_eq!(rest.problem(dance).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        log
    });

    // Killed: what it had kept goes on without a gap or a repeat.
    world.restart();
    let rest = Rest::of(&world);
    world.done(&["studio", "stop", "mine"]);
    runtime.block_on(async {
        let kept = rest.get(&log).await.error_for_status().unwrap().text().await.unwrap();
        assert_eq!(kept, "begun\nwent\nbegun\nwent\n");
        let followed = rest.get(&format!("{log}?follow=true&tail=1")).await;
        assert_eq!(timeout(SOON, followed.text()).await.unwrap().unwrap(), "went\n");
        let (status, _) = rest.problem(rest.request(Method::GET, &format!("{at}/logs/none"))).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let audit = rest.json("/audit").await;
        let done = |action: &str| {
            audit["items"].as_array().unwrap().iter().any(|entry| entry["action"] == action)
        };
        assert!(done("studio.session") && done("studio.start"), "{audit}");
    });
}

async fn files(rest: &Rest, at: &str) {
    let content = format!("{at}/files/content?path=digits.txt");
    let put = rest.request(Method::PUT, &content).body("0123456789").send().await.unwrap();
    assert_eq!(put.json::<Value>().await.unwrap()["size"], 10);
    assert_eq!(rest.get(&content).await.text().await.unwrap(), "0123456789");
    let part = rest.request(Method::GET, &content).header("range", "bytes=2-5");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 2-5/10");
    assert_eq!(part.text().await.unwrap(), "2345");
    let behind = rest.request(Method::GET, &content).header("range", "bytes=10-");
    assert_eq!(rest.problem(behind).await.0, StatusCode::RANGE_NOT_SATISFIABLE);
    let missing = rest.request(Method::GET, &format!("{at}/files/content?path=none"));
    assert_eq!(rest.problem(missing).await, (StatusCode::NOT_FOUND, "not-found".to_owned()));
    let folder = rest.json(&format!("{at}/files?path=.")).await;
    assert!(folder["items"].as_array().unwrap().iter().any(|it| it["name"] == "digits.txt"));
}

async fn logs(rest: &Rest, at: &str, log: &str) {
    let mut followed = rest.get(&format!("{log}?follow=true")).await;
    read_until(&mut followed, "begun\n").await;
    let go = rest.request(Method::PUT, &format!("{at}/files/content?path=go")).send().await;
    assert!(go.unwrap().status().is_success());
    read_until(&mut followed, "went\n").await;
    assert_eq!(rest.get(&format!("{log}?tail=1")).await.text().await.unwrap(), "went\n");
    let events = rest.request(Method::GET, log).header("accept", "text/event-stream");
    let events = timeout(SOON, events.send().await.unwrap().text()).await.unwrap().unwrap();
    assert!(
        events.contains("event: chunk") && events.contains("\"channel\":\"stdout\""),
        "{events}"
    );
}

async fn terminal(rest: &Rest, at: &str) {
    let shell = json!({"command": ["sh"], "terminal": {"columns": 80, "rows": 24}, "stdin": true});
    let session = rest.post(&format!("{at}/sessions"), shell).await;
    let attach = format!("{at}/sessions/{}/attach?from=0", session["id"].as_str().unwrap());
    let key = [("authorization", format!("Bearer {}", rest.key))];
    let mut socket = rest.socket(&attach, &key).await.unwrap();
    let size = json!({"type": "resize", "columns": 101, "rows": 33}).to_string();
    socket.send(Message::text(size)).await.unwrap();
    socket.send(Message::binary("stty size; exit 7\n")).await.unwrap();
    let (mut screen, mut exit) = (Vec::new(), None);
    while let Some(Ok(message)) = timeout(SOON, socket.next()).await.unwrap() {
        match message {
            Message::Binary(data) => {
                assert_eq!((data[0], &exit), (3, &None));
                screen.extend_from_slice(&data[1..]);
            }
            Message::Text(text) => exit = Some(serde_json::from_str::<Value>(&text).unwrap()),
            Message::Close(frame) => assert_eq!(u16::from(frame.unwrap().code), 1000),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    let (screen, exit) = (String::from_utf8_lossy(&screen), exit.unwrap());
    assert!(screen.contains("33 101"), "{screen}");
    assert_eq!((&exit["type"], &exit["code"]), (&json!("exit"), &json!(7)), "{exit}");
}

async fn only_its_owner_and_only_our_pages(rest: &Rest, at: &str) {
    let cat = json!({"command": ["cat"], "stdin": true});
    let id = rest.post(&format!("{at}/sessions"), cat).await["id"].as_str().unwrap().to_owned();
    let attach = format!("{at}/sessions/{id}/attach");
    assert_eq!(rest.socket(&attach, &[]).await.unwrap_err(), StatusCode::UNAUTHORIZED);
    let reads = rest.post("/api-keys", json!({"label": "reads", "scope": "read"})).await;
    let reads = [("authorization", format!("Bearer {}", reads["key"].as_str().unwrap()))];
    assert_eq!(rest.socket(&attach, &reads).await.unwrap_err(), StatusCode::FORBIDDEN);

    let ann = json!({"login": "ann", "name": "Ann", "password": "a long password of hers"});
    rest.post("/users", ann).await;
    let login = rest.http.post(rest.url.join("/api/v1/auth/login").unwrap());
    let ours = format!("http://{}", rest.host());
    let login = login
        .header("origin", &ours)
        .json(&json!({"login": "ann", "password": "a long password of hers"}));
    let answer = login.send().await.unwrap().error_for_status().unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let browser = |origin: &str| [("cookie", cookie.to_owned()), ("origin", origin.to_owned())];
    let foreign = rest.socket(&attach, &browser("http://evil.example")).await.unwrap_err();
    assert_eq!(foreign, StatusCode::FORBIDDEN);
    let another = rest.socket(&attach, &browser(&ours)).await.unwrap_err();
    assert_eq!(another, StatusCode::NOT_FOUND, "the studio is not hers");
    rest.post(&format!("{at}/sessions/{id}/cancel"), json!({})).await;
}
