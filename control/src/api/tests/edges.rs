//! What every operation has in common: malformed parameters, repetition, streams that end.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, header},
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::{sync::oneshot, time::timeout};

use super::{Server, json_of};

#[tokio::test]
async fn malformed_parameters_and_wrong_methods_are_problems() {
    let server = Server::new().await;
    for (method, path, status, kind) in [
        ("GET", "/users?limit=many", StatusCode::BAD_REQUEST, "malformed"),
        ("GET", "/audit?limit=-1", StatusCode::BAD_REQUEST, "malformed"),
        ("GET", "/projects/%ff", StatusCode::BAD_REQUEST, "malformed"),
        ("GET", "/studios/aaaaaaaa/logs/web?follow=perhaps", StatusCode::BAD_REQUEST, "malformed"),
        ("GET", "/studios/aaaaaaaa/sessions/one/attach", StatusCode::BAD_REQUEST, "malformed"),
        ("PUT", "/health", StatusCode::METHOD_NOT_ALLOWED, "no-such-method"),
        ("GET", "/nothing", StatusCode::NOT_FOUND, "not-found"),
    ] {
        let (answered, problem) = server.call(&server.admin, method, path, None).await;
        assert_eq!((answered, problem["type"].as_str()), (status, Some(kind)), "{method} {path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
}

#[tokio::test]
async fn a_repetition_does_not_overtake_the_first_request() {
    let server = Server::new().await;
    let request = |body| {
        Request::post("/api/v1/projects")
            .header(header::AUTHORIZATION, format!("Bearer {}", server.admin))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", "once")
            .body(body)
            .unwrap()
    };
    let project = json!({"key": "ONE", "name": "One"}).to_string();
    let (asked, is_asked) = oneshot::channel();
    let (send, rest) = oneshot::channel::<Bytes>();
    let slow = stream::once(async move {
        asked.send(()).unwrap();
        rest.await
    });
    let first = server.send(request(Body::from_stream(slow)));
    tokio::pin!(first);
    tokio::select! {
        _ = &mut first => panic!("it is answered before it is sent"),
        asked = is_asked => asked.unwrap(),
    }
    let second = server.send(request(Body::from(project.clone()))).await;
    let (status, problem) = json_of(second).await;
    assert_eq!((status, problem["type"].as_str()), (StatusCode::CONFLICT, Some("conflict")));
    send.send(project.clone().into()).unwrap();
    let (status, made) = json_of(first.await).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let third = json_of(server.send(request(Body::from(project))).await).await;
    assert_eq!(third, (StatusCode::CREATED, made));
}

impl Server {
    /// Events of a new studio, as text.
    async fn studio_events(
        &self,
        name: &str,
    ) -> (String, impl futures_util::Stream<Item = String> + use<>) {
        let spec = json!({"label": name, "blocks": [
            {"type": "entrypoint", "command": "x", "port": 9000, "expose": true, "label": "Mine"}]});
        let template = self.admin("POST", "/templates", Some(json!({"spec": spec}))).await;
        self.admin("POST", "/projects", Some(json!({"key": "DEMO", "name": "Demo"}))).await;
        let studio = json!({"name": name, "template": template["id"]});
        let studio = self.admin("POST", "/projects/DEMO/studios", Some(studio)).await;
        let id = studio["id"].as_str().unwrap().to_owned();
        let request = Request::get(format!("/api/v1/studios/{id}/events"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.admin))
            .body(Body::empty())
            .unwrap();
        let response = self.send(request).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let events = response.into_body().into_data_stream();
        (id, events.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()))
    }
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn events_of_a_studio_tell_changes_and_end_with_what_a_problem_says() {
    let server = Server::new().await;
    let (id, events) = server.studio_events("mine").await;
    let mut events = std::pin::pin!(events);
    let first = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert!(first.starts_with("event: studio") && first.contains("\"name\":\"mine\""), "{first}");
    server.admin("PATCH", &format!("/studios/{id}"), Some(json!({"name": "yours"}))).await;
    let second = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert!(second.contains("\"name\":\"yours\""), "{second}");
    server.admin("DELETE", &format!("/studios/{id}"), None).await;
    let rest = timeout(SOON, events.collect::<String>()).await.unwrap();
    assert!(rest.contains("event: error") && rest.contains("\"type\":\"not-found\""), "{rest}");
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let server = Server::new().await;
    let (_, events) = server.studio_events("mine").await;
    let mut events = std::pin::pin!(events);
    timeout(SOON, events.next()).await.unwrap().unwrap();
    server.services.shutdown.cancel();
    assert_eq!(timeout(SOON, events.next()).await.unwrap(), None);
}
