//! A whole instance over real sockets: log in, template, build, studio, and again after it was ended.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, path::Path};

use control::{
    public_address::PublicAddress,
    server::{Server, ServerConfig},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

fn config(data: &Path) -> ServerConfig {
    ServerConfig {
        agents_address: None,
        runtime: control::server::RuntimeChoice::Process {
            agent: std::env::current_exe().unwrap(),
        },
        data: data.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        public: None,
        listen_agents: "127.0.0.1:0".parse().unwrap(),
        environment: BTreeMap::new(),
        ready_file: Some(data.join("ready.json")),
        readiness_limit: std::time::Duration::from_mins(10),
    }
}

fn ready(data: &Path) -> Value {
    serde_json::from_slice(&fs::read(data.join("ready.json")).unwrap()).unwrap()
}

/// A client that goes nowhere by itself.
fn direct() -> Client {
    control::http_client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

struct Caller {
    http: Client,
    url: String,
    key: String,
}

impl Caller {
    fn of(server: &Server, data: &Path) -> Self {
        let ready = ready(data);
        assert_eq!(ready["url"], server.url);
        let url = format!("http://{}/api/v1", server.address());
        Self {
            http: control::http_client::builder().build().unwrap(),
            url,
            key: ready["api_key"].as_str().unwrap().to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request =
            self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn an_instance_serves_keeps_and_serves_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    let caller = Caller::of(&server, folder.path());
    caller.post("/projects", json!({"key": "DEMO", "name": "Demo"})).await;
    let spec = json!({"label": "T", "blocks": [
        {"type": "entrypoint", "command": "x", "port": 9000, "expose": true, "label": "Mine"},
        {"type": "starter_files", "files": [{"text": "hello\n", "zone": "code_studio-versioned", "path": "a/hello.txt"}]},
    ]});
    let (status, template) = caller.post("/templates", json!({"spec": spec})).await;
    assert_eq!(status, StatusCode::CREATED, "{template}");
    let id = template["id"].as_str().unwrap();
    let (_, build) = caller.post(&format!("/templates/{id}/builds"), json!({})).await;
    let log = format!("{}/builds/{}/log", caller.url, build["id"].as_str().unwrap());
    let events =
        caller.http.get(log).bearer_auth(&caller.key).send().await.unwrap().text().await.unwrap();
    assert!(
        events.contains("event: end") && events.contains("\"state\":\"succeeded\""),
        "{events}"
    );
    let (status, studio) =
        caller.post("/projects/DEMO/studios", json!({"name": "mine", "template": id})).await;
    assert_eq!(status, StatusCode::CREATED, "{studio}");
    let studio = studio["id"].as_str().unwrap().to_owned();
    let starter =
        folder.path().join(format!("zones/studio/{studio}/code_studio-versioned/a/hello.txt"));
    assert_eq!(fs::read_to_string(&starter).unwrap(), "hello\n");

    let another = Server::start(config(folder.path())).await;
    assert!(another.err().unwrap().to_string().contains("another control plane"));
    server.stop().await;
    let server = Server::start(config(folder.path())).await.unwrap();
    let caller = Caller::of(&server, folder.path());
    assert_eq!(caller.get(&format!("/studios/{studio}")).await["name"], "mine");
    let deleted = caller
        .http
        .delete(format!("{}/studios/{studio}", caller.url))
        .bearer_auth(&caller.key)
        .send()
        .await;
    assert_eq!(deleted.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!starter.exists());
    server.stop().await;
}

#[tokio::test]
async fn hosts_keep_people_and_applications_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    let http = direct();
    let ask = async |host: &str, path: &str| {
        let request = http.get(format!("http://{}{path}", server.address())).header("host", host);
        request.send().await.unwrap().status()
    };
    let port = server.address().port();
    assert_eq!(ask(&format!("localhost:{port}"), "/api/v1/health").await, StatusCode::OK);
    assert_eq!(
        ask(&format!("evil.example:{port}"), "/api/v1/health").await,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(ask(&format!("localhost:{port}"), "/projects/DEMO").await, StatusCode::OK);
    // An application's origin never reaches the control plane's API.
    let status = ask(&format!("8888--abcdefgh.localhost:{port}"), "/api/v1/health").await;
    assert!(!status.is_success(), "{status}");
    let link = server.administrators_link().await.unwrap();
    let path = link.strip_prefix(&server.url).unwrap();
    assert_eq!(ask(&format!("localhost:{port}"), path).await, StatusCode::SEE_OTHER);
    server.stop().await;
}

#[tokio::test]
async fn a_public_address_is_what_browsers_are_told_whatever_a_request_says() {
    let folder = tempfile::tempdir().unwrap();
    let public = PublicAddress::new("https://atelier.example.com", Some("apps.example.com"));
    let config = ServerConfig { public: Some(public.unwrap()), ..config(folder.path()) };
    let server = Server::start(config).await.unwrap();
    let ready = ready(folder.path());
    assert_eq!(ready["url"], "https://atelier.example.com");
    assert_eq!(ready["apps_url"], "https://{port}--{studio}.apps.example.com");
    let http = direct();
    let ask = async |host: &str, path: &str| {
        let request = http.get(format!("http://{}{path}", server.address())).header("host", host);
        request.header("x-forwarded-proto", "http").send().await.unwrap()
    };
    for (host, status) in [
        ("atelier.example.com", StatusCode::OK),
        // As probes do.
        (&*server.address().to_string(), StatusCode::OK),
        ("localhost", StatusCode::MISDIRECTED_REQUEST),
        ("atelier.localhost", StatusCode::MISDIRECTED_REQUEST),
    ] {
        assert_eq!(ask(host, "/api/v1/health").await.status(), status, "{host}");
    }
    let pages = ask("atelier.example.com", "/").await;
    let policy = pages.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-src 'self' https://*.apps.example.com"), "{policy}");
    // Behind whatever ends TLS, cookies are for TLS only.
    let link = server.administrators_link().await.unwrap();
    let path = link.strip_prefix("https://atelier.example.com").unwrap();
    let logged_in = ask("atelier.example.com", path).await;
    assert!(logged_in.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    // A name of an application's, though there is no such studio.
    let away = ask("8888--abcdefgh.apps.example.com", "/code-studios/DEMO/abcdefgh/8888/").await;
    assert_eq!(away.status(), StatusCode::NOT_FOUND);
    server.stop().await;
}
