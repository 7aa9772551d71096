//! Headers and addresses, there and back.

use control::proxy::PortRoute;

use crate::support::{Fixture, ID, KEY, PORT, PREFIX, port, secret, server};

#[tokio::test]
async fn the_request_arrives_whole_and_says_where_it_came_from() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let path = format!("{PREFIX}/a/b?x=1");
    let answer = fixture.get(&path, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\nX-Own: 1\r\n").await;
    assert_eq!((answer.status, answer.target()), (200, "/a/b?x=1"));
    assert_eq!(answer.seen("host"), [fixture.app_host()]);
    assert_eq!(answer.seen("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.seen("x-forwarded-host"), [fixture.app_host()]);
    assert_eq!(answer.seen("x-forwarded-prefix"), [PREFIX]);
    assert_eq!(answer.seen("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(answer.seen("x-own"), ["1"]);
    assert!(answer.seen("authorization").is_empty(), "our key went on: {}", answer.body);
}

#[tokio::test]
async fn both_studio_addresses_lead_there_with_their_own_prefix() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let answer = fixture.get(&format!("/dip{PREFIX}/a"), "").await;
    assert_eq!(
        (answer.target(), answer.seen("x-forwarded-prefix")),
        ("/a", vec![&*format!("/dip{PREFIX}")])
    );
}

#[tokio::test]
async fn an_origin_of_its_own_is_the_applications_in_whole() {
    let fixture = Fixture::new().await;
    fixture.echo("/sub/").await;
    // Absolute addresses of an application that knows nothing of its prefix.
    assert_eq!(fixture.get("/static/x.js?v=1", "").await.target(), "/sub/static/x.js?v=1");
    let root = fixture.get("/?q=1", "").await;
    assert_eq!((root.status, root.header("location")), (302, &*format!("{PREFIX}/?q=1")));
    assert_eq!(fixture.get("/x/../y", "").await.status, 400);
}

#[tokio::test]
async fn hop_by_hop_headers_end_on_both_sides() {
    let fixture = Fixture::new().await;
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                let (head, _) = server.request().await.unwrap();
                let headers = "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nAlt-Svc: h3=\":1\"\r\n";
                server.reply("200 OK", headers, &head).await;
            })
        })
        .await;
    let answer = fixture
        .get(
            &format!("{PREFIX}/"),
            "Connection: X-Mine, close\r\nX-Mine: 1\r\nTE: trailers, gzip\r\n",
        )
        .await;
    for gone in ["x-hop", "keep-alive", "alt-svc"] {
        assert!(answer.all(gone).is_empty(), "{gone} in {}", answer.head);
    }
    assert!(
        answer.seen("x-mine").is_empty() && answer.seen("connection").is_empty(),
        "{}",
        answer.body
    );
    assert_eq!(answer.seen("te"), ["trailers"]);
}

#[tokio::test]
async fn addresses_and_cookies_are_right_under_the_prefix() {
    let fixture = Fixture::new().await;
    let reply = "Location: /login\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=1; Domain=localhost\r\n\
                 Set-Cookie: __Host-atelier-app=stolen; Path=/; Secure\r\nSet-Cookie: c=1; Path=/deep; HttpOnly\r\n\
                 X-Atelier-Proxy: forged\r\n";
    fixture
        .upstream("/", move |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                while server.request().await.is_some() {
                    server.reply("302 Found", reply, "").await;
                }
            })
        })
        .await;
    let answer = fixture.get(&format!("{PREFIX}/"), "").await;
    assert_eq!(answer.header("location"), format!("{PREFIX}/login"));
    let (all, deep) =
        (format!("a=1; Path={PREFIX}/"), format!("c=1; Path={PREFIX}/deep; HttpOnly"));
    assert_eq!(answer.all("set-cookie"), [all.as_str(), deep.as_str()]);
    assert!(answer.all("x-atelier-proxy").is_empty());
}

#[tokio::test]
async fn the_studios_secret_is_injected_and_ours_are_not() {
    let fixture = Fixture::new().await;
    let upstream = fixture.echo("/").await;
    let mut inject = secret(&[("authorization", "token hush"), ("cookie", "key=hush")]);
    inject.query = Some(("tkn".to_owned(), "h&sh".to_owned()));
    fixture.studio([(PORT, PortRoute { secret: Some(inject), ..port(upstream, "$request_uri") })]);
    let cookies = "Cookie: __Host-atelier-app=x; mine=1; atelier-session=ann; key=forged\r\n";
    let answer = fixture.get(&format!("{PREFIX}/a?tkn=mine&b"), cookies).await;
    assert_eq!(answer.seen("authorization"), ["token hush"]);
    assert_eq!(answer.seen("cookie"), ["mine=1; key=hush"]);
    assert_eq!(answer.target(), format!("{PREFIX}/a?b&tkn=h%26sh"));
}

#[tokio::test]
async fn trace_would_show_the_secret() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let host = fixture.app_host();
    let request =
        format!("TRACE {PREFIX}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    assert_eq!(fixture.raw(&request).await.status, 405);
}

#[tokio::test]
async fn hosts_are_known_or_refused() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let ask = async |host: &str, path: &str| {
        fixture
            .raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .await
    };
    for host in ["evil.example.com", "localhost.evil.com", "a.b.localhost"] {
        assert_eq!(ask(host, "/").await.status, 421, "{host}");
    }
    assert_eq!(ask("x y", "/").await.status, 400);
    assert_eq!(fixture.raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.status, 400);
    assert_eq!(
        fixture
            .raw("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
            .await
            .status,
        400
    );
    let other = "GET http://evil/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(fixture.raw(other).await.status, 400);
    let main = ask("127.0.0.1:1", "/some/page?x").await;
    assert_eq!((main.status, main.body.as_str()), (200, "control plane: /some/page?x"));
    // A studio that isn't there.
    assert_eq!(ask("8888--zzzzzzzz.localhost", "/").await.status, 404);
    // A studio's own name leads to its first tool.
    let named = ask(&format!("demo-lab.localhost:{}", fixture.address.port()), "/").await;
    assert_eq!(
        (named.status, named.header("location")),
        (302, &*format!("{}{PREFIX}/", fixture.app_origin()))
    );
    assert_eq!(ask("demo-other.localhost", "/").await.status, 404);
}

#[tokio::test]
async fn the_main_origin_leads_to_the_applications_own() {
    let fixture = Fixture::new().await;
    fixture.echo("/").await;
    let ask = async |method: &str, path: &str, more: &str| {
        let host = fixture.main_host();
        fixture
            .raw(&format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
            ))
            .await
    };
    let path = format!("{PREFIX}/a%2Fb//c?x=%20");
    let answer = ask("GET", &path, "").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, &*format!("{}{path}", fixture.app_origin()))
    );
    assert_eq!(ask("POST", &path, "Content-Length: 0\r\n").await.status, 307);
    let dip = ask("GET", &format!("/dip{path}"), "").await;
    assert_eq!(dip.header("location"), format!("{}/dip{path}", fixture.app_origin()));
    let studio = ask("GET", &format!("/code-studios/DEMO/{ID}"), "").await;
    assert_eq!(studio.header("location"), format!("{}{PREFIX}/", fixture.app_origin()));
    assert_eq!(ask("GET", &format!("{PREFIX}/../x"), "").await.status, 400);
    assert_eq!(ask("GET", &format!("/code-studios/OTHER/{ID}/8888/"), "").await.status, 404);
    // A script with a key gets its answer here, and nothing takes root.
    let key = format!("Authorization: Bearer {KEY}\r\n");
    let answer = ask("GET", &path, &key).await;
    assert_eq!((answer.status, answer.target()), (200, "/a/b/c?x=%20"));
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert_eq!(ask("GET", &path, "Authorization: Bearer atl_stale\r\n").await.status, 401);
    assert_eq!(ask("GET", &path, "Authorization: Bearer atl_bobskey\r\n").await.status, 403);
}

#[tokio::test]
async fn another_applications_path_leads_to_its_origin() {
    let fixture = Fixture::new().await;
    let upstream = fixture.echo("/").await;
    fixture.studio([(PORT, port(upstream, "/")), (8501, port(upstream, "/"))]);
    let answer = fixture.get(&format!("/code-studios/DEMO/{ID}/8501/x?y"), "").await;
    let there = format!(
        "http://8501--{ID}.localhost:{}/code-studios/DEMO/{ID}/8501/x?y",
        fixture.address.port()
    );
    assert_eq!((answer.status, answer.header("location")), (302, there.as_str()));
}
