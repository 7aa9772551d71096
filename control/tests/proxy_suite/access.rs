//! Signing in on an application's origin, and staying signed in.

use std::{sync::Arc, time::Duration};

use control::proxy::{NoTunnels, ProxyConfig, TICKET_SECONDS};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::support::{Answer, Fixture, ID, PORT, PREFIX, server, soon};

const NAVIGATE: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n";
const IN_FRAME: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nSec-Fetch-Site: cross-site\r\n";

/// A request as a browser would make it: no key.
pub(crate) async fn browse(fixture: &Fixture, url: &str, headers: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    fixture
        .raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"))
        .await
}

/// `name=value` of the cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// From the application's address to its ticket: the state cookie and the address that carries the ticket.
async fn ticket(fixture: &Fixture, browser: &str, user: &str) -> (String, String) {
    let began =
        browse(fixture, &format!("{}{PREFIX}/lab?x=1", fixture.app_origin()), browser).await;
    assert_eq!(began.status, 302, "{}", began.head);
    let authorize = began.header("location").to_owned();
    assert!(
        authorize.starts_with(&format!("http://{}/api/v1/apps/authorize?", fixture.main_host())),
        "{authorize}"
    );
    let session = format!("Cookie: atelier-session={user}\r\n");
    let granted = browse(fixture, &authorize, &session).await;
    assert_eq!(granted.status, 302, "{} {}", granted.head, granted.body);
    (cookie(&began), granted.header("location").to_owned())
}

async fn signed_in(fixture: &Fixture, browser: &str) -> (String, String) {
    let (state, login) = ticket(fixture, browser, "ann").await;
    let done = browse(fixture, &login, &format!("Cookie: {state}\r\n{browser}")).await;
    assert_eq!(
        (done.status, done.header("location")),
        (302, &*format!("{PREFIX}/lab?x=1")),
        "{}",
        done.body
    );
    (cookie(&done), done.header("set-cookie").to_owned())
}

#[tokio::test]
async fn a_session_of_the_main_origin_opens_the_applications() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let (app, attributes) = signed_in(&fixture, NAVIGATE).await;
    assert!(app.starts_with("__Host-atelier-app="), "{app}");
    assert!(attributes.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{attributes}");
    let url = format!("{}{PREFIX}/lab", fixture.app_origin());
    let answer = browse(&fixture, &url, &format!("Cookie: {app}; own=1\r\n")).await;
    assert_eq!((answer.status, answer.seen("cookie")), (200, vec!["own=1"]));
}

#[tokio::test]
async fn in_a_frame_cookies_are_partitioned_the_applications_too() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                while server.request().await.is_some() {
                    let headers = "Set-Cookie: _xsrf=1; Path=/\r\nX-Frame-Options: DENY\r\n";
                    server.reply("200 OK", headers, "").await;
                }
            })
        })
        .await;
    let (app, attributes) = signed_in(&fixture, IN_FRAME).await;
    assert!(attributes.ends_with("; SameSite=None; Secure; Partitioned"), "{attributes}");
    let answer = browse(
        &fixture,
        &format!("{}{PREFIX}/", fixture.app_origin()),
        &format!("Cookie: {app}\r\n"),
    )
    .await;
    assert_eq!(
        answer.header("set-cookie"),
        format!("_xsrf=1; Path={PREFIX}/; SameSite=None; Secure; Partitioned")
    );
    assert!(answer.all("x-frame-options").is_empty());
    let main = format!("http://{}", fixture.main_host());
    let numeric = format!("http://127.0.0.1:{}", fixture.address.port());
    assert_eq!(
        answer.header("content-security-policy"),
        format!("frame-ancestors 'self' {main} {numeric}")
    );
}

#[tokio::test]
async fn a_ticket_is_good_once_soon_here_and_in_one_browser() {
    let fixture = Fixture::new().await;
    let upstream = fixture.echo("/").await;
    fixture.studio([
        (PORT, crate::support::port(upstream, "/")),
        (8501, crate::support::port(upstream, "/")),
    ]);
    let redeem = async |login: &str, state: &str| {
        browse(&fixture, login, &format!("Cookie: {state}\r\n")).await
    };
    // Another browser.
    let (state, login) = ticket(&fixture, NAVIGATE, "ann").await;
    let other = redeem(&login, "__Host-atelier-state=somebodyelses0000").await;
    assert_eq!(other.status, 403);
    assert!(other.body.contains("another browser"), "{}", other.body);
    assert_eq!(redeem(&login, "x=1").await.status, 403);
    // Another application's origin.
    let elsewhere = login.replace(&format!("{PORT}--"), "8501--");
    assert_eq!(redeem(&elsewhere, &state).await.status, 403);
    // Changed.
    assert_eq!(redeem(&format!("{login}x"), &state).await.status, 403);
    // Once, and again.
    assert_eq!(redeem(&login, &state).await.status, 302);
    let again = redeem(&login, &state).await;
    assert!(again.status == 403 && again.body.contains("used before"), "{}", again.body);
    // Late.
    let (state, login) = ticket(&fixture, NAVIGATE, "ann").await;
    fixture.clock.forward(TICKET_SECONDS);
    let late = redeem(&login, &state).await;
    assert!(late.status == 403 && late.body.contains("expired"), "{}", late.body);
}

#[tokio::test]
async fn who_may_not_open_it_gets_no_ticket() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let began = browse(&fixture, &format!("{}{PREFIX}/", fixture.app_origin()), NAVIGATE).await;
    let authorize = began.header("location").to_owned();
    let bob = browse(&fixture, &authorize, "Cookie: atelier-session=bob\r\n").await;
    assert_eq!(bob.status, 403);
    assert!(bob.body.contains("Only ann may open this studio."), "{}", bob.body);
    let nobody = browse(&fixture, &authorize, "").await;
    assert!(
        nobody.status == 302
            && nobody
                .header("location")
                .starts_with("/login?next=%2Fapi%2Fv1%2Fapps%2Fauthorize%3F")
    );
    // Where to go on stays on the application's origin.
    let evil = format!(
        "http://{}/api/v1/apps/authorize?studio={ID}&port={PORT}&state=0123456789abcdef&next=%2F%2Fevil.com",
        fixture.main_host()
    );
    let granted = browse(&fixture, &evil, "Cookie: atelier-session=ann\r\n").await;
    let done = browse(
        &fixture,
        granted.header("location"),
        "Cookie: __Host-atelier-state=0123456789abcdef\r\n",
    )
    .await;
    assert_eq!((done.status, done.header("location")), (302, "/"));
}

#[tokio::test]
async fn cookies_are_bound_to_studio_and_port_and_end() {
    let fixture = Fixture::new().await;
    let upstream = fixture.echo("/").await;
    let both =
        [(PORT, crate::support::port(upstream, "/")), (8501, crate::support::port(upstream, "/"))];
    fixture.studio(both);
    let (app, _) = signed_in(&fixture, NAVIGATE).await;
    let cookie = format!("Cookie: {app}\r\n");
    let here = format!("{}{PREFIX}/", fixture.app_origin());
    let there = here.replace("8888", "8501");
    assert_eq!(browse(&fixture, &here, &cookie).await.status, 200);
    assert_eq!(browse(&fixture, &there, &cookie).await.status, 302);
    fixture.clock.forward(8 * 24 * 3600);
    assert_eq!(browse(&fixture, &here, &cookie).await.status, 302);
}

#[tokio::test]
async fn a_session_that_ends_ends_here_too() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let (app, _) = signed_in(&fixture, NAVIGATE).await;
    let cookie = format!("Cookie: {app}\r\n");
    let url = format!("{}{PREFIX}/", fixture.app_origin());
    assert_eq!(browse(&fixture, &url, &cookie).await.status, 200);
    fixture.people.gone.lock().unwrap().insert("s-ann".to_owned());
    fixture.clock.forward(3);
    assert_eq!(browse(&fixture, &url, &cookie).await.status, 302);
    assert_eq!(
        browse(&fixture, &url, &format!("{cookie}Sec-Fetch-Mode: cors\r\n")).await.status,
        401
    );
    // At once, when told.
    fixture.people.gone.lock().unwrap().clear();
    assert_eq!(browse(&fixture, &url, &cookie).await.status, 200);
    fixture.people.gone.lock().unwrap().insert("s-ann".to_owned());
    fixture.proxy.forget_verdicts();
    assert_eq!(browse(&fixture, &url, &cookie).await.status, 302);
}

#[tokio::test]
async fn pages_of_other_origins_can_only_lead_here() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let (app, _) = signed_in(&fixture, NAVIGATE).await;
    let url = format!("{}{PREFIX}/", fixture.app_origin());
    let get = async |headers: &str| {
        browse(&fixture, &url, &format!("Cookie: {app}\r\n{headers}")).await.status
    };
    assert_eq!(get("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n").await, 200);
    assert_eq!(get("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n").await, 200);
    for site in ["cross-site", "same-site"] {
        for mode in ["no-cors", "cors", "websocket"] {
            assert_eq!(
                get(&format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n")).await,
                403,
                "{site} {mode}"
            );
        }
    }
    let host = fixture.app_host();
    for (origin, status) in
        [(fixture.app_origin(), 200), ("http://evil.com".to_owned(), 403), ("null".to_owned(), 403)]
    {
        for method in ["POST", "DELETE", "OPTIONS"] {
            let request = format!(
                "{method} {PREFIX}/ HTTP/1.1\r\nHost: {host}\r\nCookie: {app}\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
            );
            assert_eq!(fixture.raw(&request).await.status, status, "{method} {origin}");
        }
    }
}

#[tokio::test]
async fn keys_of_the_application_itself_are_its_own_affair() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let (app, _) = signed_in(&fixture, NAVIGATE).await;
    let url = format!("{}{PREFIX}/", fixture.app_origin());
    let headers = format!("Cookie: {app}\r\nAuthorization: Bearer theirs\r\n");
    let answer = browse(&fixture, &url, &headers).await;
    assert_eq!(answer.seen("authorization"), ["Bearer theirs"]);
    // `atl_goodkey:` as Basic.
    let answer = browse(&fixture, &url, "Authorization: Basic YXRsX2dvb2RrZXk6\r\n").await;
    assert_eq!((answer.status, answer.seen("authorization")), (200, vec![]));
}

#[tokio::test]
async fn plain_http_elsewhere_gets_plain_cookies() {
    let domain = |config: &mut ProxyConfig| {
        config.origins.domain = "apps.test".to_owned();
        config.origins.main_url = Some("http://atelier.test".to_owned());
    };
    let fixture = Fixture::with(domain, Arc::new(NoTunnels)).await;
    fixture.echo("/").await;
    let began =
        browse(&fixture, &format!("http://{PORT}--{ID}.apps.test{PREFIX}/"), NAVIGATE).await;
    assert!(
        began.header("location").starts_with("http://atelier.test/api/v1/apps/authorize?"),
        "{}",
        began.head
    );
    let set = began.header("set-cookie");
    assert!(set.starts_with("atelier-state=") && !set.contains("Secure"), "{set}");
}

/// A fixture with an upstream that holds a `WebSocket`, and Ann's browser's end of it.
async fn with_socket() -> (Fixture, WebSocketStream<TcpStream>) {
    let often = |config: &mut ProxyConfig| config.recheck = Duration::from_millis(20);
    let fixture = Fixture::with(often, Arc::new(NoTunnels)).await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    socket.send(message).await.ok();
                }
            })
        })
        .await;
    let (app, _) = signed_in(&fixture, NAVIGATE).await;
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    let mut request =
        format!("ws://{}{PREFIX}/", fixture.app_host()).into_client_request().unwrap();
    request.headers_mut().insert("cookie", app.parse().unwrap());
    request.headers_mut().insert("origin", fixture.app_origin().parse().unwrap());
    let (socket, _) = soon(tokio_tungstenite::client_async(request, stream)).await.unwrap();
    (fixture, socket)
}

#[tokio::test]
async fn the_end_of_the_proxy_ends_its_tunnels() {
    let (fixture, mut socket) = with_socket().await;
    drop(fixture);
    assert!(soon(socket.next()).await.is_none_or(|message| message.is_err()));
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_open_tunnels() {
    let (fixture, mut socket) = with_socket().await;
    fixture.clock.forward(10);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        socket.send(Message::text("still here")).await.unwrap();
        assert!(soon(socket.next()).await.unwrap().unwrap().is_text());
    }
    fixture.people.gone.lock().unwrap().insert("s-ann".to_owned());
    fixture.proxy.forget_verdicts();
    assert!(soon(socket.next()).await.is_none_or(|message| message.is_err()));
}
