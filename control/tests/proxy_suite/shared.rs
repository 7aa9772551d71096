//! Shared-origin mode: off unless switched on; then one origin, with cookies confined to their prefixes.

use std::sync::Arc;

use control::proxy::NoTunnels;

use crate::{
    access::browse,
    support::{Fixture, ID, KEY, PREFIX, server},
};

async fn shared() -> Fixture {
    let fixture =
        Fixture::with(|config| config.origins.shared_port = Some(1), Arc::new(NoTunnels)).await;
    fixture
        .upstream("$request_uri", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((head, _)) = server.request().await {
                    let cookies = "Set-Cookie: a=1\r\nSet-Cookie: b=1; Path=/\r\nSet-Cookie: __Host-c=1; Path=/; Secure\r\n";
                    server.reply("200 OK", cookies, &head).await;
                }
            })
        })
        .await;
    fixture
}

/// On the second port.
async fn there(fixture: &Fixture, path: &str, headers: &str) -> crate::support::Answer {
    let mut client = crate::support::Client::connect(fixture.shared_address).await;
    let host = format!("localhost:{}", fixture.shared_address.port());
    client.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")).await
}

#[tokio::test]
async fn applications_share_the_second_port_and_stay_within_their_prefix() {
    let fixture = shared().await;
    let path = format!("{PREFIX}/x");
    let origin = format!("http://localhost:{}", fixture.shared_address.port());
    let main = browse(&fixture, &format!("http://{}{path}", fixture.main_host()), "").await;
    assert_eq!((main.status, main.header("location")), (302, &*format!("{origin}{path}")));
    // Sign in: second port → main → second port.
    let began = there(&fixture, &path, "").await;
    let state = began.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(state.starts_with(&format!("__Host-atelier-state-8888-{ID}=")), "{state}");
    let authorize = began.header("location").to_owned();
    let granted = browse(&fixture, &authorize, "Cookie: atelier-session=ann\r\n").await;
    let login = granted.header("location").strip_prefix(&origin).unwrap().to_owned();
    let done = there(&fixture, &login, &format!("Cookie: {state}\r\n")).await;
    assert_eq!((done.status, done.header("location")), (302, path.as_str()), "{}", done.body);
    let app = done.header("set-cookie").split(';').next().unwrap().to_owned();
    let answer = there(&fixture, &path, &format!("Cookie: {app}; atelier-app-1-other=x\r\n")).await;
    assert_eq!((answer.status, answer.target()), (200, path.as_str()));
    assert!(answer.seen("cookie").is_empty());
    let (a, b) = (format!("a=1; Path={PREFIX}/"), format!("b=1; Path={PREFIX}/"));
    assert_eq!(answer.all("set-cookie"), [a.as_str(), b.as_str()]);
}

#[tokio::test]
async fn nothing_else_is_there() {
    let fixture = shared().await;
    assert_eq!(there(&fixture, "/", "").await.status, 302);
    assert_eq!(
        there(&fixture, "/api/v1/studios", "Cookie: atelier-session=ann\r\n").await.status,
        302
    );
    assert_eq!(there(&fixture, &format!("{PREFIX}/%2e%2e/"), "").await.status, 400);
    let key = format!("Authorization: Bearer {KEY}\r\n");
    assert_eq!(there(&fixture, &format!("{PREFIX}/"), &key).await.status, 200);
}
