//! `WebSocket`s and other upgrades.

use std::{
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use control::{
    domain::ids::StudioId,
    proxy::{NoTunnels, PortRoute, ProxyConfig, TunnelDialer, TunnelIo, Upstream},
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::support::{Answer, Fixture, ID, KEY, PORT, PREFIX, Task, port, server, soon};

fn echo(stream: TcpStream) -> Task {
    Box::pin(async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn open(
    fixture: &Fixture,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request =
        format!("ws://{}{PREFIX}/ws?a=1", fixture.app_host()).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    soon(client_async(request, stream)).await.map(|(socket, _)| socket)
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    soon(socket.next()).await.unwrap().unwrap().into_text().unwrap().to_string()
}

fn status(opened: Result<WebSocketStream<TcpStream>, Error>) -> u16 {
    match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer atl_goodkey");

#[tokio::test]
async fn messages_go_both_ways_and_are_counted() {
    let fixture = Fixture::new().await;
    fixture.upstream("$request_uri", |stream, _| echo(stream)).await;
    let mut socket = open(&fixture, &[BEARER]).await.unwrap();
    assert_eq!(say(&mut socket, "hello").await, "hello");
    let large = "x".repeat(3 << 20);
    assert_eq!(say(&mut socket, &large).await.len(), large.len());
    let traffic = |fixture: &Fixture| fixture.proxy.activity().studio(&ID.parse().unwrap())[0].1;
    let during = traffic(&fixture);
    assert_eq!(during.open_tunnels, 1);
    assert!(during.bytes_up > 3 << 20 && during.bytes_down > 3 << 20, "{during:?}");
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon(socket.next()).await {}
    drop(socket);
    soon(async {
        while traffic(&fixture).open_tunnels > 0 || traffic(&fixture).connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn they_count_as_connections_of_their_port() {
    let few = |config: &mut ProxyConfig| config.max_connections = 2;
    let fixture = Fixture::with(few, Arc::new(NoTunnels)).await;
    fixture.upstream("/", |stream, _| echo(stream)).await;
    let mut first = open(&fixture, &[BEARER]).await.unwrap();
    let mut second = open(&fixture, &[BEARER]).await.unwrap();
    // Both are tunnels by now, and nothing else.
    assert_eq!(say(&mut first, "1").await + &say(&mut second, "2").await, "12");
    assert_eq!(status(open(&fixture, &[BEARER]).await), 503);
    drop(first);
    soon(async { while status(open(&fixture, &[BEARER]).await) != 101 {} }).await;
}

#[tokio::test]
async fn the_same_door_as_for_http() {
    let fixture = Fixture::new().await;
    fixture.upstream("/", |stream, _| echo(stream)).await;
    assert_eq!(status(open(&fixture, &[]).await), 401);
    assert_eq!(status(open(&fixture, &[("authorization", "Bearer atl_stale")]).await), 401);
    assert_eq!(status(open(&fixture, &[("authorization", "Bearer atl_bobskey")]).await), 403);
    assert_eq!(status(open(&fixture, &[("cookie", "__Host-atelier-app=forged.x")]).await), 401);
}

#[tokio::test]
async fn a_foreign_origin_is_refused() {
    let fixture = Fixture::new().await;
    fixture.upstream("/", |stream, _| echo(stream)).await;
    let own = fixture.app_origin();
    assert_eq!(status(open(&fixture, &[BEARER, ("origin", &own)]).await), 101);
    let other_port = format!("http://{PORT}--{ID}.localhost:1");
    let tls = own.replace("http:", "https:");
    let main = format!("http://{}", fixture.main_host());
    for origin in ["http://evil.com", "null", "", &other_port, &tls, &main] {
        assert_eq!(status(open(&fixture, &[BEARER, ("origin", origin)]).await), 403, "{origin}");
    }
}

/// Raw upgrade request; the answer, and whatever else of the connection is needed.
async fn raw(fixture: &Fixture, early: &str) -> (crate::support::Client, Answer) {
    let mut client = fixture.connect().await;
    let host = fixture.app_host();
    client
        .send(format!(
            "GET {PREFIX}/ws HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{early}"
        ))
        .await;
    let answer = client.answer(false).await;
    (client, answer)
}

#[tokio::test]
async fn nothing_passes_before_101_and_no_such_connection_is_kept() {
    let fixture = Fixture::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    fixture
        .upstream("/", move |stream, number| {
            let log = log.clone();
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((head, body)) = server.request().await {
                    log.lock().unwrap().push((number, head.lines().next().unwrap().to_owned()));
                    assert!(body.is_empty());
                    server.reply("403 Forbidden", "", "no upgrade").await;
                }
            })
        })
        .await;
    // A request smuggled behind the upgrade: to a proxy that tunnels too early it would reach the application unseen.
    let host = fixture.app_host();
    let smuggled = format!("GET {PREFIX}/hidden HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (mut client, answer) = raw(&fixture, &smuggled).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, "no upgrade"));
    // The second is an ordinary request, with no key: it ends at the door.
    assert!(matches!(client.answer(false).await.status, 302 | 401));
    for _ in 0..2 {
        assert_eq!(fixture.get(&format!("{PREFIX}/plain"), "").await.status, 403);
    }
    let (_, answer) = raw(&fixture, "").await;
    assert_eq!(answer.status, 403);
    let seen = seen.lock().unwrap().clone();
    let of = |n: usize| seen[n].0;
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_ne!(of(0), of(1), "the connection of a refused upgrade was used again: {seen:?}");
    assert_eq!(of(1), of(2), "an ordinary connection was not used again: {seen:?}");
    assert_ne!(of(2), of(3), "an upgrade went over a used connection: {seen:?}");
}

#[tokio::test]
async fn a_wild_or_wrong_101_is_no_upgrade() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nSECRET").await;
                server.request().await;
            })
        })
        .await;
    assert_eq!(fixture.get(&format!("{PREFIX}/"), "").await.status, 502);
    let (_, answer) = raw(&fixture, "").await;
    assert_eq!(answer.status, 502);
    assert!(!answer.body.contains("SECRET"));
}

#[tokio::test]
async fn bytes_right_behind_the_101_are_not_lost() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                server.request().await.unwrap();
                server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nfirst ").await;
                let said = server.until("!").await;
                server.send(format!("then {said}")).await;
            })
        })
        .await;
    let (mut client, answer) = raw(&fixture, "early!").await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, "websocket"));
    assert_eq!(client.until("early!").await, "first then early!");
    assert!(client.closes().await);
}

/// Dials the upstream's address as an agent would.
struct Dialer(Mutex<Option<std::net::SocketAddr>>);

#[async_trait]
impl TunnelDialer for Dialer {
    async fn dial(&self, studio: &StudioId, port: u16) -> io::Result<Box<dyn TunnelIo>> {
        assert_eq!((studio.as_str(), port), (ID, PORT));
        let address = *self.0.lock().unwrap();
        let address = address.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(TcpStream::connect(address).await?))
    }
}

#[tokio::test]
async fn all_of_it_goes_through_a_tunnel_too() {
    let dialer = Arc::new(Dialer(Mutex::new(None)));
    let fixture = Fixture::with(|_| {}, dialer.clone()).await;
    let nowhere = "127.0.0.1:1".parse().unwrap();
    fixture.studio([(PORT, PortRoute { upstream: Upstream::Tunnel, ..port(nowhere, "/") })]);
    assert_eq!(fixture.get(&format!("{PREFIX}/"), "").await.status, 503);
    let address = fixture.listen(|stream, _| echo(stream)).await;
    *dialer.0.lock().unwrap() = Some(address);
    let mut socket = open(&fixture, &[BEARER]).await.unwrap();
    assert_eq!(say(&mut socket, "through").await, "through");
    // An instance without tunnels says so, in passing.
    let without = Fixture::with(|_| {}, Arc::new(NoTunnels)).await;
    without.studio([(PORT, PortRoute { upstream: Upstream::Tunnel, ..port(nowhere, "/") })]);
    let answer = without.get(&format!("{PREFIX}/"), "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
}
