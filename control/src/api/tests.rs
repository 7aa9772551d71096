//! The API as a client sees it, on a real store.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::router;
use crate::{
    app::{
        AppError,
        services::Services,
        studios::{StarterFiles, StudioRemains},
    },
    builder::{external::ExternalBlocks, prefix::PrefixBuilder},
    clock::SystemClock,
    domain::{studio::Studio, user::Scope},
    store::sqlite::Sqlite,
    wiring,
};

/// There are no zones in these tests.
struct NoZones;

#[async_trait::async_trait]
impl StarterFiles for NoZones {
    async fn copy(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl StudioRemains for NoZones {
    async fn remove(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

struct Server {
    _folder: tempfile::TempDir,
    router: Router,
    services: Arc<Services>,
    admin: String,
}

impl Server {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("db")).await.unwrap());
        let builder =
            Arc::new(PrefixBuilder::open(&folder.path().join("prefix"), [].into()).unwrap());
        let context = images::compose::CompileContext {
            base: "m".into(),
            platform: "p".into(),
            build_env: [].into(),
        };
        let (agents, _) = crate::agents::AgentHub::new(
            crate::agents::ca::Ca::open(folder.path()).unwrap(),
            String::new(),
            Arc::clone(&store) as Arc<dyn crate::store::Store>,
            tokio_util::task::TaskTracker::new(),
            tokio_util::sync::CancellationToken::new(),
        );
        let services = wiring::services(wiring::Parts {
            store,
            clock: Arc::new(SystemClock),
            builder,
            external: ExternalBlocks::new("/nowhere".into(), [].into()),
            context,
            starter_files: Arc::new(NoZones),
            remains: Arc::new(NoZones),
            agents,
            zones: Arc::new(crate::zones::local::LocalZones::new(
                folder.path().join("zones"),
                Arc::new(SystemClock),
            )),
            app_urls: crate::domain::app_url::AppUrls {
                scheme: "http".into(),
                domain: "localhost".into(),
            },
            logs: folder.path().join("logs"),
            tracker: tokio_util::task::TaskTracker::new(),
            shutdown: tokio_util::sync::CancellationToken::new(),
        });
        let login = "admin".parse().unwrap();
        services.users.ensure_first_administrator(&login).await.unwrap();
        let (_, admin) = services.api_keys.issue(login, "test", Scope::Admin, None).await.unwrap();
        Self { _folder: folder, router: router(Arc::clone(&services)), services, admin }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn call(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        json_of(self.send(request.body(body).unwrap()).await).await
    }

    /// As the administrator; fails unless it succeeds.
    async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(&self.admin, method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// A user's key.
    async fn user(&self, login: &str, scope: &str) -> String {
        if self.call(&self.admin, "GET", &format!("/users/{login}"), None).await.0
            == StatusCode::NOT_FOUND
        {
            self.admin("POST", "/users", Some(json!({"login": login, "name": login}))).await;
        }
        let key = json!({"label": "k", "scope": scope, "for_login": login});
        self.admin("POST", "/api-keys", Some(key)).await["key"].as_str().unwrap().to_owned()
    }
}

async fn json_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let kind = response.headers().get(header::CONTENT_TYPE).cloned();
        assert_eq!(kind.unwrap(), "application/problem+json", "{status}");
    }
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn who_is_not_logged_in_gets_nowhere_but_health() {
    let server = Server::new().await;
    assert_eq!(server.call("", "GET", "/health", None).await.0, StatusCode::OK);
    for path in [
        "/auth/me",
        "/users",
        "/groups",
        "/projects",
        "/templates",
        "/builds",
        "/studios",
        "/blocks",
        "/api-keys",
    ] {
        for key in ["", "atl_aaaaaaaa_x", "nonsense"] {
            assert_eq!(
                server.call(key, "GET", path, None).await.0,
                StatusCode::UNAUTHORIZED,
                "{path} {key}"
            );
        }
    }
    assert_eq!(server.call(&server.admin, "GET", "/nonsense", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_link_logs_in_once_and_a_cookie_needs_a_page_of_ours() {
    let server = Server::new().await;
    let token = server.services.login.create_link(&"admin".parse().unwrap()).await.unwrap();
    let visit = || Request::get(format!("/login/link/{token}")).body(Body::empty()).unwrap();
    let response = server.send(visit()).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(server.send(visit()).await.status(), StatusCode::UNAUTHORIZED);

    let post = |origin: Option<&str>| {
        let mut request = Request::post("/api/v1/projects")
            .header(header::COOKIE, &cookie)
            .header(header::HOST, "localhost:8080")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        request.body(Body::from(json!({"key": "P", "name": "p"}).to_string())).unwrap()
    };
    for origin in [
        None,
        Some("http://8888--abcdefgh.localhost:8080"),
        Some("null"),
        Some("http://localhost:8081"),
    ] {
        assert_eq!(server.send(post(origin)).await.status(), StatusCode::FORBIDDEN, "{origin:?}");
    }
    assert_eq!(
        server.send(post(Some("http://localhost:8080"))).await.status(),
        StatusCode::CREATED
    );
    let log_out = Request::post("/api/v1/auth/logout")
        .header(header::COOKIE, &cookie)
        .header(header::HOST, "localhost:8080")
        .header(header::ORIGIN, "http://localhost:8080")
        .body(Body::empty());
    assert_eq!(server.send(log_out.unwrap()).await.status(), StatusCode::NO_CONTENT);
    let me = Request::get("/api/v1/auth/me")
        .header(header::COOKIE, &cookie)
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.send(me).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_password_logs_in_and_guessing_is_slowed_down() {
    let server = Server::new().await;
    server
        .admin(
            "POST",
            "/users",
            Some(json!({"login": "alice", "name": "Alice", "password": "correct horse"})),
        )
        .await;
    let log_in = |password: &str| {
        let body = json!({"login": "alice", "password": password}).to_string();
        Request::post("/api/v1/auth/login")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(server.send(log_in("correct horse")).await.status(), StatusCode::OK);
    for _ in 0..10 {
        assert_eq!(server.send(log_in("wrong")).await.status(), StatusCode::UNAUTHORIZED);
    }
    let slowed = server.send(log_in("correct horse")).await;
    assert_eq!(slowed.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(slowed.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn every_refusal_names_the_right_that_is_missing() {
    let server = Server::new().await;
    let alice = server.user("alice", "admin").await;
    let reading = server.user("alice", "read").await;
    server.admin("POST", "/groups", Some(json!({"name": "readers", "members": ["alice"]}))).await;
    let grants = json!([{"group": "readers", "right": "read"}]);
    server
        .admin(
            "POST",
            "/projects",
            Some(json!({"key": "OPEN", "name": "o", "permissions": grants})),
        )
        .await;
    server.admin("POST", "/projects", Some(json!({"key": "SHUT", "name": "s"}))).await;
    let spec = json!({"label": "T", "blocks": []});
    let template =
        server.admin("POST", "/templates", Some(json!({"spec": spec}))).await["id"].clone();

    let refused = async |key: &str, method: &str, path: &str, body: Option<Value>| {
        let (status, answer) = server.call(key, method, path, body).await;
        (status.as_u16(), answer["missing_right"].as_str().unwrap_or_default().to_owned())
    };
    let studio = json!({"name": "mine", "template": template});
    assert_eq!(refused(&alice, "GET", "/users", None).await, (403, "administrator".into()));
    assert_eq!(
        refused(&alice, "POST", "/templates", Some(json!({"spec": spec}))).await,
        (403, "administrator".into())
    );
    assert_eq!(refused(&alice, "GET", "/projects/SHUT", None).await, (404, String::new()));
    assert_eq!(
        refused(&alice, "POST", "/projects/OPEN/studios", Some(studio.clone())).await,
        (403, "write in project OPEN".into())
    );
    server
        .admin(
            "PATCH",
            "/projects/OPEN",
            Some(json!({"permissions": [{"group": "readers", "right": "write"}]})),
        )
        .await;
    assert_eq!(
        refused(&reading, "POST", "/projects/OPEN/studios", Some(studio.clone())).await,
        (403, "an API key with scope write".into())
    );
    let (status, made) = server.call(&alice, "POST", "/projects/OPEN/studios", Some(studio)).await;
    assert_eq!((status.as_u16(), &made["my_right"]), (201, &json!("use")));
    let bob = server.user("bob", "admin").await;
    let path = format!("/studios/{}", made["id"].as_str().unwrap());
    assert_eq!(refused(&bob, "GET", &path, None).await, (404, String::new()));
    server
        .admin("POST", "/groups", Some(json!({"name": "readers", "members": ["alice", "bob"]})))
        .await;
    assert_eq!(
        refused(&bob, "POST", &format!("{path}/start"), None).await,
        (403, "admin in project OPEN".into())
    );
    let (status, answer) = server.call(&alice, "POST", &format!("{path}/start"), None).await;
    assert!(
        status == StatusCode::CONFLICT && answer["detail"].as_str().unwrap().contains("build"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_malformed_is_said_to_be_so() {
    let server = Server::new().await;
    let status = async |method: &str, path: &str, body: Option<Value>| {
        server.call(&server.admin, method, path, body).await
    };
    assert_eq!(
        status("GET", "/studios/..%2f..%2fetc", None).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(status("GET", "/projects/demo", None).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        status("POST", "/projects", Some(json!({"key": "lower", "name": "x"}))).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        status("POST", "/projects", Some(json!({"key": "A", "name": "x", "typo": 1}))).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        status("POST", "/users", Some(json!({"login": "a", "name": "\u{7}"}))).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let spec = json!({"label": "T", "blocks": [{"type": "jupyterlab", "port": 1}]});
    let (code, answer) = status("POST", "/templates", Some(json!({"spec": spec}))).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["problems"][0]["block"], 0);
    assert_eq!(answer["problems"][0]["field"], "port");
    let huge = json!({"spec": {"label": "x".repeat(5 << 20)}});
    assert_eq!(status("POST", "/templates", Some(huge)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn templates_have_versions_resources_and_travel_as_zip_files() {
    let server = Server::new().await;
    let spec = json!({"label": "T", "blocks": []});
    let made = server.admin("POST", "/templates", Some(json!({"spec": spec}))).await;
    let path = format!("/templates/{}", made["id"].as_str().unwrap());
    let upload = Request::put(format!("/api/v1{path}/resources/scripts/go.sh"))
        .header(header::AUTHORIZATION, format!("Bearer {}", server.admin))
        .body(Body::from("echo"));
    assert_eq!(server.send(upload.unwrap()).await.status(), StatusCode::OK);
    let with_script = json!({"label": "T", "blocks": [{"type": "entrypoint", "command": "x", "scripts": ["scripts/go.sh"]}]});
    let saved =
        server.admin("PUT", &path, Some(json!({"spec": with_script, "expected_version": 2}))).await;
    assert_eq!(saved["version"], 3);
    let stale = server
        .call(&server.admin, "PUT", &path, Some(json!({"spec": spec, "expected_version": 2})))
        .await;
    assert_eq!(stale.0, StatusCode::PRECONDITION_FAILED);
    let export = Request::get(format!("/api/v1{path}/export"))
        .header(header::AUTHORIZATION, format!("Bearer {}", server.admin));
    let zip = to_bytes(server.send(export.body(Body::empty()).unwrap()).await.into_body(), 1 << 20)
        .await
        .unwrap();
    let import = |zip: Vec<u8>| {
        Request::post("/api/v1/templates/import")
            .header(header::AUTHORIZATION, format!("Bearer {}", server.admin))
            .body(Body::from(zip))
            .unwrap()
    };
    assert_eq!(server.send(import(zip.to_vec())).await.status(), StatusCode::CONFLICT);
    server.admin("DELETE", &path, None).await;
    let (status, imported) = json_of(server.send(import(zip.to_vec())).await).await;
    assert_eq!((status, &imported["spec"]), (StatusCode::CREATED, &with_script));
    assert_eq!(
        server.send(import(b"no zip".to_vec())).await.status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_is_done_once() {
    let server = Server::new().await;
    let request = |key: &str, name: &str| {
        Request::post("/api/v1/projects")
            .header(header::AUTHORIZATION, format!("Bearer {}", server.admin))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(json!({"key": "ONCE", "name": name}).to_string()))
            .unwrap()
    };
    let first = json_of(server.send(request("k", "a")).await).await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(json_of(server.send(request("k", "a")).await).await, first);
    assert_eq!(server.send(request("k", "b")).await.status(), StatusCode::CONFLICT);
    assert_eq!(server.send(request("other", "a")).await.status(), StatusCode::CONFLICT);
}

#[test]
fn the_committed_openapi_document_is_the_present_one() {
    let fresh = super::document().to_pretty_json().unwrap() + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        committed == fresh,
        "web/openapi.json is stale: run UPDATE_OPENAPI=1 cargo test -p control openapi"
    );
}

#[tokio::test]
async fn zones_are_read_written_and_brought_back_by_those_who_may() {
    let server = Server::new().await;
    server.admin("POST", "/projects", Some(json!({"key": "DEMO", "name": "Demo"}))).await;
    let at = "/api/v1/zones/project:DEMO:notebooks/content?path=a/b.txt";
    let send =
        |method: &str, key: &str, header: Option<(&'static str, String)>, body: &'static str| {
            let mut request = Request::builder()
                .method(method)
                .uri(at)
                .header(header::AUTHORIZATION, format!("Bearer {key}"));
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            server.send(request.body(Body::from(body)).unwrap())
        };
    let (status, first) = json_of(send("PUT", &server.admin, None, "one\n").await).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let etag = first["etag"].as_str().unwrap().to_owned();
    assert_eq!(first["commit"].as_str().unwrap().len(), 40);
    send("PUT", &server.admin, Some(("if-match", format!("\"{etag}\""))), "two\n").await;
    let stale = send("PUT", &server.admin, Some(("if-match", format!("\"{etag}\""))), "3").await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let part = send("GET", &server.admin, Some(("range", "bytes=1-2".to_owned())), "").await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 1-2/4");
    assert_eq!(to_bytes(part.into_body(), 100).await.unwrap(), "wo");

    let zone = "/zones/project:DEMO:notebooks";
    let history = server.admin("GET", &format!("{zone}/history?path=a"), None).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history}");
    let commit = first["commit"].as_str().unwrap();
    let body = json!({"path": "a/b.txt", "commit": commit});
    server.admin("POST", &format!("{zone}/restore"), Some(body)).await;
    let back = send("GET", &server.admin, None, "").await;
    assert_eq!(to_bytes(back.into_body(), 100).await.unwrap(), "one\n");
    assert_eq!(
        server.admin("GET", &format!("{zone}/trash"), None).await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let stranger = server.user("bob", "admin").await;
    assert_eq!(send("GET", &stranger, None, "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send("DELETE", &stranger, None, "").await.status(), StatusCode::NOT_FOUND);
    for hostile in ["a/../../b", "/etc/passwd", "a%00"] {
        let (status, _) =
            server.call(&server.admin, "GET", &format!("{zone}/files?path={hostile}"), None).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{hostile}");
    }
    let (status, _) =
        server.call(&server.admin, "GET", "/zones/user:bob:user-versioned/files", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_new_keys_text_is_never_kept_for_repetition() {
    let server = Server::new().await;
    let post = || {
        let request = Request::post("/api/v1/api-keys")
            .header(header::AUTHORIZATION, format!("Bearer {}", server.admin))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", "one");
        server.send(request.body(Body::from(r#"{"label": "x", "scope": "read"}"#)).unwrap())
    };
    let (first, again) = (json_of(post().await).await.1, json_of(post().await).await.1);
    assert!(first["key"].is_string());
    assert_ne!(first["key"], again["key"]);
    let kept = server.services.store.answer(&"admin".parse().unwrap(), "one").await.unwrap();
    assert_eq!(kept, None);
}

#[tokio::test]
async fn a_key_that_reads_changes_nothing() {
    let server = Server::new().await;
    let key = server.user("rita", "read").await;
    let me = server.call(&key, "GET", "/auth/me", None).await;
    assert_eq!(me.0, StatusCode::OK);
    let change = Some(json!({"name": "Somebody else"}));
    let (status, problem) = server.call(&key, "PATCH", "/users/rita", change).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(problem["missing_right"], "an API key with scope write");
}

mod edges;
