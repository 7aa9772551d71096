//! Kept connections, and what happens when applications close them.

use std::sync::{Arc, Mutex};

use control::domain::ids::StudioId;

use crate::support::{Answer, Fixture, KEY, PORT, PREFIX, Task, port, server, studio};

type Log = Arc<Mutex<Vec<(usize, String)>>>;

/// Logs (connection, method) and answers; after `per_connection` requests it closes without a word of warning.
fn logging(
    log: &Log,
    per_connection: usize,
) -> impl Fn(tokio::net::TcpStream, usize) -> Task + Send + 'static {
    let log = log.clone();
    move |stream, number| {
        let log = log.clone();
        Box::pin(async move {
            let mut server = server(stream);
            for _ in 0..per_connection {
                let Some((head, _)) = server.request().await else { return };
                log.lock().unwrap().push((number, head.split(' ').next().unwrap().to_owned()));
                server.reply("200 OK", "", "").await;
            }
            // Reads one more and gives no answer: a close that crosses the request on its way.
            if let Some((head, _)) = server.request().await {
                log.lock()
                    .unwrap()
                    .push((number, format!("lost {}", head.split(' ').next().unwrap())));
            }
        })
    }
}

async fn ask(fixture: &Fixture, method: &str) -> Answer {
    let host = fixture.app_host();
    let request = format!(
        "{method} {PREFIX}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 0\r\n\r\n"
    );
    fixture.raw(&request).await
}

fn log(log: &Log) -> Vec<(usize, String)> {
    log.lock().unwrap().clone()
}

#[tokio::test]
async fn connections_are_used_again() {
    let fixture = Fixture::new().await;
    let seen = Log::default();
    fixture.upstream("/", logging(&seen, 100)).await;
    for _ in 0..5 {
        assert_eq!(ask(&fixture, "GET").await.status, 200);
    }
    assert_eq!(log(&seen).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0; 5]);
}

#[tokio::test]
async fn a_read_that_meets_a_closing_connection_is_asked_again_and_a_write_is_not() {
    let fixture = Fixture::new().await;
    let seen = Log::default();
    fixture.upstream("/", logging(&seen, 1)).await;
    assert_eq!(ask(&fixture, "GET").await.status, 200);
    assert_eq!(ask(&fixture, "GET").await.status, 200);
    assert_eq!(ask(&fixture, "POST").await.status, 502);
    let methods: Vec<_> =
        log(&seen).into_iter().map(|(number, what)| format!("{number} {what}")).collect();
    assert_eq!(methods, ["0 GET", "0 lost GET", "1 GET", "1 lost POST"]);
}

#[tokio::test]
async fn a_connection_that_is_gone_costs_nothing() {
    let fixture = Fixture::new().await;
    let seen = Log::default();
    let count = seen.clone();
    fixture
        .upstream("/", move |stream, number| {
            let log = count.clone();
            Box::pin(async move {
                let mut server = server(stream);
                let (head, _) = server.request().await.unwrap();
                log.lock().unwrap().push((number, head));
                server.reply("200 OK", "", "").await;
            })
        })
        .await;
    for _ in 0..20 {
        assert_eq!(ask(&fixture, "POST").await.status, 200);
        // The proxy's own count tells when it has seen the close.
        crate::support::soon(async {
            while fixture.proxy.activity().studio(&crate::support::ID.parse().unwrap())[0]
                .1
                .connections
                > 0
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(log(&seen).len(), 20);
}

#[tokio::test]
async fn an_address_that_changes_hands_gets_no_request_of_its_former_owner() {
    let fixture = Fixture::new().await;
    let seen = Log::default();
    let address = fixture.upstream("/", logging(&seen, 100)).await;
    assert_eq!(ask(&fixture, "GET").await.status, 200);
    let other: StudioId = "zzzzzzzz".parse().unwrap();
    fixture.routes.set(studio(
        other.as_str(),
        control::proxy::RouteState::Running,
        [(PORT, port(address, "/"))],
    ));
    let request = format!(
        "GET /code-studios/DEMO/{other}/{PORT}/ HTTP/1.1\r\nHost: {PORT}--{other}.localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    assert_eq!(fixture.raw(&request).await.status, 200);
    assert_eq!(log(&seen).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
            })
        })
        .await;
    let mut client = fixture.connect().await;
    let host = fixture.app_host();
    client
        .send(format!(
            "GET {PREFIX}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        ))
        .await;
    client.until("half").await;
    assert!(client.closes().await);
}

#[tokio::test]
async fn an_application_that_says_nothing_is_a_bad_gateway() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| Box::pin(async move { drop(server(stream).request().await) }))
        .await;
    let answer = fixture.get(&format!("{PREFIX}/"), "").await;
    assert_eq!((answer.status, answer.header("x-atelier-proxy")), (502, "bad-gateway"));
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("SSH-2.0-OpenSSH\r\n\r\n").await;
            })
        })
        .await;
    assert_eq!(fixture.get(&format!("{PREFIX}/"), "").await.status, 502);
}

#[tokio::test]
async fn one_port_has_so_many_connections_and_no_more() {
    let fixture =
        Fixture::with(|config| config.max_connections = 2, Arc::new(control::proxy::NoTunnels))
            .await;
    let held = Arc::new(tokio::sync::Notify::new());
    let began = Arc::new(tokio::sync::Semaphore::new(0));
    let (hold, begin) = (held.clone(), began.clone());
    fixture
        .upstream("/", move |stream, _| {
            let (held, began) = (hold.clone(), begin.clone());
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                began.add_permits(1);
                held.notified().await;
                server.reply("200 OK", "", "").await;
            })
        })
        .await;
    let path = format!("{PREFIX}/");
    let (a, b, third) = tokio::join!(fixture.get(&path, ""), fixture.get(&path, ""), async {
        let _two = crate::support::soon(began.acquire_many(2)).await.unwrap();
        let answer = fixture.get(&path, "").await;
        held.notify_one();
        held.notify_waiters();
        answer
    });
    assert_eq!((third.status, third.header("x-atelier-proxy")), (503, "too-many-connections"));
    assert_eq!((a.status, b.status), (200, 200));
}
