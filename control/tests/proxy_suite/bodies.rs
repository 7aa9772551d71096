//! Bodies stream: nothing waits for its end, nothing is collected.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use crate::support::{Fixture, KEY, PORT, PREFIX, server, soon};

fn head(fixture: &Fixture, method: &str, more: &str) -> String {
    let host = fixture.app_host();
    format!(
        "{method} {PREFIX}/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn an_event_arrives_before_the_stream_ends() {
    let fixture = Fixture::new().await;
    let (seen, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, ended) = (seen.clone(), done.clone());
    fixture
        .upstream("/", move |stream, _| {
            let (seen, done) = (wait.clone(), ended.clone());
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                server.send("9\r\ndata: 1\n\n\r\n").await;
                seen.notified().await;
                server.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
                done.notify_one();
            })
        })
        .await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "GET", "Accept: text/event-stream\r\n")).await;
    client.until("data: 1\n\n\r\n").await;
    seen.notify_one();
    client.until("data: 2\n\n\r\n0\r\n\r\n").await;
    soon(done.notified()).await;
}

#[tokio::test]
async fn the_client_is_told_to_go_on_when_the_application_says_so() {
    let fixture = Fixture::new().await;
    let say = Arc::new(Notify::new());
    let wait = say.clone();
    fixture
        .upstream("/", move |stream, _| {
            let say = wait.clone();
            Box::pin(async move {
                let mut server = server(stream);
                let head = server.until("\r\n\r\n").await;
                assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
                say.notified().await;
                server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
                let body = server.until("body!").await;
                server.reply("200 OK", "", &body).await;
            })
        })
        .await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "PUT", "Expect: 100-continue\r\nContent-Length: 5\r\n")).await;
    let early =
        tokio::time::timeout(std::time::Duration::from_millis(200), client.stream.readable());
    assert!(early.await.is_err(), "told to go on before the application said so");
    say.notify_one();
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body!").await;
    assert_eq!(client.answer(false).await.body, "body!");
}

#[tokio::test]
async fn a_body_that_is_refused_is_never_asked_for() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.until("\r\n\r\n").await;
                server.reply("417 Expectation Failed", "", "no").await;
                let mut rest = Vec::new();
                server.stream.read_to_end(&mut rest).await.ok();
                assert!(rest.is_empty(), "a body came: {rest:?}");
            })
        })
        .await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "PUT", "Expect: 100-continue\r\nContent-Length: 5\r\n")).await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.body.as_str()), (417, "no"));
    assert!(client.closes().await);
}

#[tokio::test]
async fn an_application_that_ignores_the_expectation_gets_the_body_after_a_while() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "PUT", "Expect: 100-continue\r\nContent-Length: 5\r\n")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body!").await;
    assert!(client.answer(false).await.body.ends_with("body!"));
}

#[tokio::test]
async fn a_large_upload_in_chunks_passes_whole_without_being_held() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 1024;
    let fixture = Fixture::new().await;
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    fixture
        .upstream("/", move |stream, _| {
            let go = wait.clone();
            Box::pin(async move {
                let mut server = server(stream);
                let head = server.until("\r\n\r\n").await;
                assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
                go.notified().await;
                let mut total = 0_usize;
                loop {
                    let size =
                        usize::from_str_radix(server.until("\r\n").await.trim(), 16).unwrap();
                    total += size;
                    if size == 0 {
                        break;
                    }
                    let mut left = size + 2;
                    while left > 0 {
                        let part = server.skip(left).await;
                        assert!(part > 0, "the upload ends early");
                        left -= part;
                    }
                }
                server.until("\r\n").await;
                server.reply("200 OK", "", &total.to_string()).await;
            })
        })
        .await;
    let client = fixture.connect().await;
    let request = head(&fixture, "POST", "Transfer-Encoding: chunked\r\n");
    let (mut reader, mut writer) = client.stream.into_split();
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let (written, progress) = tokio::sync::oneshot::channel();
    fixture.tasks.spawn(async move {
        writer.write_all(request.as_bytes()).await.unwrap();
        let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &vec![b'x'; CHUNK], b"\r\n"].concat();
        for _ in 0..CHUNKS {
            writer.write_all(&chunk).await.unwrap();
            counter.fetch_add(CHUNK, std::sync::atomic::Ordering::Relaxed);
        }
        writer.write_all(b"0\r\n\r\n").await.unwrap();
        written.send(writer).unwrap();
    });
    // Nobody reads yet: what the client gets rid of is what sockets and fixed buffers hold.
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = sent.load(std::sync::atomic::Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < 24 << 20, "{before} bytes went in while nobody read them");
    go.notify_one();
    let _writer = soon(progress).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with(&(CHUNK * CHUNKS).to_string()) {
        let mut part = [0; 1024];
        let read = soon(reader.read(&mut part)).await.unwrap();
        assert!(read > 0, "{answer}");
        answer += std::str::from_utf8(&part[..read]).unwrap();
    }
    let studio = fixture.proxy.activity().studio(&crate::support::ID.parse().unwrap());
    assert_eq!(studio[0].0, PORT);
    assert_eq!(studio[0].1.bytes_up, (CHUNK * CHUNKS) as u64);
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_upload() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.until("\r\n\r\n").await;
                server.reply("413 Content Too Large", "", "enough").await;
                while server.skip(usize::MAX).await > 0 {}
            })
        })
        .await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "POST", "Content-Length: 1000000000\r\n")).await;
    client.send(vec![b'x'; 100_000]).await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "enough"));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_a_body_without_chunks() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server
                    .send(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                    )
                    .await;
            })
        })
        .await;
    let answer = fixture.raw(&head(&fixture, "GET", "").replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!((answer.header("transfer-encoding"), answer.body.as_str()), ("", "ok"));
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                let (head, body) = server.request().await.unwrap();
                assert!(head.to_ascii_lowercase().contains("te: trailers"), "{head}");
                assert!(body.to_ascii_lowercase().ends_with("0\r\nx-sum: 7\r\n\r\n"), "{body:?}");
                server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Back\r\n\r\n2\r\nok\r\n0\r\nX-Back: 8\r\n\r\n").await;
            })
        })
        .await;
    let request =
        head(&fixture, "POST", "TE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n");
    let answer = fixture.raw(&format!("{request}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")).await;
    assert_eq!(answer.body.to_ascii_lowercase(), "ok\nx-back: 8");
}

#[tokio::test]
async fn ranges_heads_and_encodings_pass_untouched() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((head, _)) = server.request().await {
                    let lower = head.to_ascii_lowercase();
                    if head.starts_with("HEAD") {
                        server
                            .send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"e\"\r\n\r\n")
                            .await;
                    } else if lower.contains("range: bytes=2-3") {
                        server
                            .reply("206 Partial Content", "Content-Range: bytes 2-3/9\r\n", "cd")
                            .await;
                    } else if lower.contains("if-none-match") {
                        server.send("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n").await;
                    } else {
                        assert!(lower.contains("accept-encoding: gzip, br"), "{head}");
                        server.reply("200 OK", "Content-Encoding: gzip\r\n", "not really").await;
                    }
                }
            })
        })
        .await;
    let mut client = fixture.connect().await;
    let answer = client.ask(&head(&fixture, "HEAD", "")).await;
    assert_eq!((answer.header("content-length"), answer.header("etag")), ("1234", "\"e\""));
    let answer = client.ask(&head(&fixture, "GET", "Range: bytes=2-3\r\n")).await;
    assert_eq!(
        (answer.status, answer.header("content-range"), answer.body.as_str()),
        (206, "bytes 2-3/9", "cd")
    );
    assert_eq!(client.ask(&head(&fixture, "GET", "If-None-Match: \"e\"\r\n")).await.status, 304);
    let answer = client.ask(&head(&fixture, "GET", "Accept-Encoding: gzip, br\r\n")).await;
    assert_eq!((answer.header("content-encoding"), answer.body.as_str()), ("gzip", "not really"));
}

#[tokio::test]
async fn a_client_that_goes_takes_its_request_with_it() {
    let fixture = Fixture::new().await;
    let (began, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (start, end) = (began.clone(), gone.clone());
    fixture
        .upstream("/", move |stream, _| {
            let (began, gone) = (start.clone(), end.clone());
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                began.notify_one();
                if server.request().await.is_none() {
                    gone.notify_one();
                }
            })
        })
        .await;
    let mut client = fixture.connect().await;
    client.send(head(&fixture, "GET", "")).await;
    soon(began.notified()).await;
    drop(client);
    soon(gone.notified()).await;
}
