//! The listener: the control plane's own router behind it, and its end.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::Notify};
use tokio_tungstenite::{client_async, tungstenite::Message};

use crate::support::{Client, Fixture, KEY, PREFIX, server, soon};

#[tokio::test]
async fn the_control_planes_own_websockets_pass() {
    let fixture = Fixture::new().await;
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    let url = format!("ws://{}/shell", fixture.main_host());
    let (mut socket, _) = soon(client_async(url, stream)).await.unwrap();
    // What looks like a request with two lengths is only bytes here.
    let bytes =
        "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for text in ["ls", bytes, "exit"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap().to_text().unwrap(), text);
    }
}

#[tokio::test]
async fn requests_end_in_peace_when_the_listener_stops() {
    let fixture = Fixture::new().await;
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (start, end) = (began.clone(), finish.clone());
    fixture
        .upstream("/", move |stream, _| {
            let (began, finish) = (start.clone(), end.clone());
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                began.notify_one();
                finish.notified().await;
                server.reply("200 OK", "", "whole").await;
            })
        })
        .await;
    let (mut idle, mut busy) = (fixture.connect().await, fixture.connect().await);
    let request = format!(
        "GET {PREFIX}/ HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\n\r\n",
        fixture.app_host()
    );
    let main = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", fixture.main_host());
    assert_eq!(idle.ask(&main).await.status, 200);
    busy.send(request).await;
    soon(began.notified()).await;
    fixture.stop.cancel();
    assert!(idle.closes().await, "a connection without a request was kept");
    finish.notify_one();
    let answer = busy.answer(false).await;
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("whole", "close"));
    assert!(busy.closes().await);
    soon(async {
        while let Ok(stream) = TcpStream::connect(fixture.address).await {
            drop(Client { stream, buffer: Vec::new() });
            tokio::task::yield_now().await;
        }
    })
    .await;
}
