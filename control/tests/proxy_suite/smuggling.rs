//! Requests that two programs could read in two ways end here.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use crate::support::{Fixture, KEY, PREFIX, server};

/// A fixture whose upstream counts the requests that reach it whole.
async fn counting() -> (Fixture, Arc<AtomicUsize>) {
    let fixture = Fixture::new().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    fixture
        .upstream("/", move |stream, _| {
            let count = counted.clone();
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((head, _)) = server.request().await {
                    count.fetch_add(1, SeqCst);
                    server.reply("200 OK", "", &head).await;
                }
            })
        })
        .await;
    (fixture, count)
}

fn post(fixture: &Fixture, headers: &str, body: &str) -> String {
    let host = fixture.app_host();
    format!(
        "POST {PREFIX}/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_with_two_lengths_is_refused_and_the_connection_ends() {
    let (fixture, count) = counting().await;
    let hidden = post(&fixture, "Content-Length: 0\r\n", "");
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: CHUNKED\r\ncontent-length: 5\r\n",
    ] {
        let mut client = fixture.connect().await;
        client.send(post(&fixture, headers, &format!("0\r\n\r\n{hidden}"))).await;
        let answer = client.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (400, "close"), "{headers}");
        assert!(client.closes().await, "{headers}");
    }
    // On a connection that has served before, too.
    let mut client = fixture.connect().await;
    assert_eq!(client.ask(&post(&fixture, "Content-Length: 3\r\n", "abc")).await.status, 200);
    let bad = post(&fixture, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    assert_eq!(client.ask(&bad).await.status, 400);
    assert!(client.closes().await);
    assert_eq!(count.load(SeqCst), 1);
}

#[tokio::test]
async fn lengths_that_mean_nothing_are_refused() {
    let (fixture, count) = counting().await;
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 5x\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 5\r\n",
        " Transfer-Encoding: chunked\r\n",
    ] {
        let mut client = fixture.connect().await;
        client.send(post(&fixture, headers, "0\r\n\r\n")).await;
        let answer = client.answer(false).await;
        assert_eq!(answer.status, 400, "{headers}");
        assert!(client.closes().await, "{headers}");
    }
    assert_eq!(count.load(SeqCst), 0);
}

#[tokio::test]
async fn broken_chunks_never_become_a_whole_request() {
    let (fixture, count) = counting().await;
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
    ] {
        let mut client = fixture.connect().await;
        client.send(post(&fixture, "Transfer-Encoding: chunked\r\n", body)).await;
        let answer = client.answer(false).await;
        assert!(matches!(answer.status, 400 | 502), "{body:?}: {}", answer.head);
        assert!(client.closes().await, "{body:?}");
    }
    assert_eq!(count.load(SeqCst), 0);
    assert_eq!(fixture.get(&format!("{PREFIX}/"), "").await.status, 200);
}

#[tokio::test]
async fn heads_have_limits() {
    let (fixture, count) = counting().await;
    let large = format!("X-Large: {}\r\n", "x".repeat(80 * 1024));
    let many = (0..200).fold(String::new(), |all, n| format!("{all}X-{n}: 1\r\n"));
    for headers in [large, many] {
        let answer = fixture.raw(&post(&fixture, &headers, "")).await;
        assert_eq!(answer.status, 431);
    }
    assert_eq!(count.load(SeqCst), 0);
}

#[tokio::test]
async fn an_upgrade_to_http_is_none() {
    let (fixture, count) = counting().await;
    let request = post(
        &fixture,
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nContent-Length: 0\r\n",
        "",
    );
    let answer = fixture.raw(&request).await;
    assert_eq!(answer.status, 200);
    for gone in ["upgrade", "connection", "http2-settings"] {
        assert!(answer.seen(gone).is_empty(), "{}", answer.body);
    }
    assert_eq!(count.load(SeqCst), 1);
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_made_one() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n").await;
            })
        })
        .await;
    let answer = fixture.get(&format!("{PREFIX}/"), "").await;
    assert_eq!((answer.body.as_str(), answer.header("transfer-encoding")), ("abcde", "chunked"));
    assert!(answer.all("content-length").is_empty());
}
