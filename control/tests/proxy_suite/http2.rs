//! HTTP/2 clients, with applications that speak HTTP/1.1.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, client::conn::http2, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Fixture, KEY, PREFIX, server, soon};

async fn connect<B>(fixture: &Fixture) -> http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    fixture.tasks.spawn(async move {
        connection.await.ok();
    });
    sender
}

fn request(fixture: &Fixture, method: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("{}{PREFIX}/a?b", fixture.app_origin()))
        .header("authorization", format!("Bearer {KEY}"))
}

#[tokio::test]
async fn requests_are_translated() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let mut sender = connect(&fixture).await;
    let request = request(&fixture, "POST").header("cookie", "a=1").header("cookie", "b=2");
    let response =
        soon(sender.send_request(request.body(Full::new(Bytes::from("body!"))).unwrap()))
            .await
            .unwrap();
    assert_eq!(response.status(), 200);
    let seen = soon(response.into_body().collect()).await.unwrap().to_bytes();
    let seen = String::from_utf8(seen.to_vec()).unwrap();
    assert!(
        seen.starts_with("POST /a?b HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nbody!"),
        "{seen}"
    );
    assert!(seen.contains(&format!("host: {}\r\n", fixture.app_host())), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\r\n"), "{seen}");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let sender = connect(&fixture).await;
    let answers = (0..50).map(|_| {
        let mut sender = sender.clone();
        let request = request(&fixture, "GET").body(Empty::<Bytes>::new()).unwrap();
        async move { sender.send_request(request).await.unwrap().status().as_u16() }
    });
    let answers = soon(futures_util::future::join_all(answers)).await;
    assert_eq!(answers, [200; 50]);
}

#[tokio::test]
async fn a_websocket_over_http2_is_one_of_http1_for_the_application() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                let (head, _) = server.request().await.unwrap();
                let lower = head.to_ascii_lowercase();
                for part in ["get /a?b http/1.1", "upgrade: websocket", "connection: upgrade", "sec-websocket-key: "] {
                    assert!(lower.contains(part), "{part} in {head}");
                }
                server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n").await;
                let said = server.until("!").await;
                server.send(format!("{said}?")).await;
            })
        })
        .await;
    let mut sender = connect(&fixture).await;
    // The server's settings say that it can do this; they have come once a first request was answered.
    let first = request(&fixture, "GET").uri(format!("http://{}/", fixture.main_host()));
    soon(sender.send_request(first.body(Empty::<Bytes>::new()).unwrap())).await.unwrap();
    let mut wish = request(&fixture, "CONNECT")
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap();
    wish.extensions_mut().insert(Protocol::from_static("websocket"));
    let response = soon(sender.send_request(wish)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let mut tunnel = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
    tunnel.write_all(b"hello!").await.unwrap();
    let mut answer = [0; 7];
    soon(tunnel.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"hello!?");
}
