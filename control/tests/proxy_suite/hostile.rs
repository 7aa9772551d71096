//! Generated hostility: whatever a client or an application says, some things never happen.

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};

use crate::support::{Answer, Fixture, KEY, PREFIX, server};

/// As many cases as `PROPTEST_CASES` says.
fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, ..Default::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_reaches_the_application_with_a_dot_segment_or_from_another_host() {
    let fixture = Fixture::new().await;
    fixture.echo("$request_uri").await;
    let pieces = [
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        ";",
        "a",
        "%",
        "%00",
        "%25",
        "?",
        "code-studios",
        "/dip",
        PREFIX,
        "DEMO",
        "abcdefgh",
        "8888",
        ".atelier",
        "login",
        "@",
        ":",
        "*",
    ];
    let hosts = [
        fixture.app_host(),
        fixture.main_host(),
        "127.0.0.1".to_owned(),
        "8501--abcdefgh.localhost".to_owned(),
        "demo-lab.localhost".to_owned(),
        "evil".to_owned(),
    ];
    let own = fixture.app_host();
    let cases = (
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..8),
        prop::sample::select(hosts.to_vec()),
    );
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        runner()
            .run(&cases, |(pieces, host)| {
                let path = format!("/{}", pieces.concat());
                let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n");
                let answer = handle.block_on(fixture.raw(&request));
                prop_assert!(answer.status < 500, "{}: {}", path, answer.head);
                if answer.status != 200 || answer.body.starts_with("control plane: ") {
                    return Ok(());
                }
                // It reached the application.
                prop_assert!(host == own || path.starts_with(PREFIX) || path.starts_with("/dip/code-studios/"), "{} at {}", path, host);
                let seen = answer.target().split('?').next().unwrap().to_ascii_lowercase();
                let seen = seen.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
                prop_assert!(!seen.split('/').any(|s| matches!(s.split(';').next(), Some("." | ".."))), "{}", seen);
                prop_assert!(answer.seen("authorization").is_empty());
                Ok(())
            })
            .unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_an_application_reaches_beyond_its_origin() {
    let fixture = Fixture::new().await;
    // Answers with the headers that the request's body is.
    fixture
        .upstream("/", |stream, _| {
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((_, body)) = server.request().await {
                    server.reply("200 OK", &body, "").await;
                }
            })
        })
        .await;
    let pieces = [
        "a=1",
        "=",
        ";",
        "; ",
        "Domain",
        "domain=",
        "localhost",
        "Path=/",
        "Path=",
        "/..",
        "__Host-",
        "__host-",
        "__Secure-",
        "atelier",
        "-app",
        "Atelier-session",
        "Secure",
        "SameSite=None",
        " ",
        "\t",
        ",",
        "\"",
        "é",
        "http://",
        "//",
        "evil.com",
        "/",
        "\\",
        "?",
        "#",
        "@",
        ":8888",
        "url=",
        "0;",
        "frame-ancestors *",
        "frame-ancestors",
        "script-src 'self'",
    ];
    let names = [
        "Set-Cookie",
        "Location",
        "Content-Location",
        "Refresh",
        "Content-Security-Policy",
        "X-Frame-Options",
        "Connection",
        "Content-Type",
    ];
    let header = (
        prop::sample::select(names.to_vec()),
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..6),
    );
    let cases = prop::collection::vec(header, 1..6);
    let handle = tokio::runtime::Handle::current();
    let own = fixture.app_origin();
    tokio::task::block_in_place(|| {
        runner()
            .run(&cases, |headers| {
                let headers: String = headers.iter().map(|(n, v)| [*n, ": ", &v.concat(), "\r\n"].concat()).collect();
                let request = format!(
                    "POST {PREFIX}/ HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{headers}",
                    fixture.app_host(),
                    headers.len()
                );
                let answer = handle.block_on(fixture.raw(&request));
                prop_assert!(matches!(answer.status, 200 | 502), "{}", answer.head);
                stays_at_home(&answer, &headers, &own)?;
                Ok(())
            })
            .unwrap();
    });
}

/// What holds of every answer, whatever headers the application gave.
fn stays_at_home(answer: &Answer, given: &str, own: &str) -> Result<(), TestCaseError> {
    for cookie in answer.all("set-cookie") {
        let lower = cookie.to_ascii_lowercase();
        let domain = lower.split(';').skip(1).any(|part| part.trim().starts_with("domain"));
        let name = lower.split('=').next().unwrap().trim();
        let bare = name.trim_start_matches("__host-").trim_start_matches("__secure-");
        prop_assert!(!domain && !name.is_empty() && !bare.starts_with("atelier"), "{}", cookie);
    }
    // An address is passed as it was, or made to lead to the application itself.
    for address in ["location", "content-location"].iter().flat_map(|name| answer.all(name)) {
        let home = address.starts_with('/') || address.starts_with(own);
        prop_assert!(home || given.contains(address), "{}", address);
    }
    // Other studios can't frame it, whatever it says.
    let policies = answer.all("content-security-policy");
    let directives = policies.iter().flat_map(|policy| policy.split([';', ',']));
    let framing: Vec<_> = directives
        .map(str::trim)
        .filter(|directive| {
            let name = directive.split_ascii_whitespace().next().unwrap_or_default();
            name.eq_ignore_ascii_case("frame-ancestors")
        })
        .collect();
    let ours = |directive: &&str| directive.starts_with("frame-ancestors 'self' http://localhost:");
    prop_assert!(framing.len() <= 1 && framing.iter().all(ours), "{:?}", policies);
    prop_assert!(policies.is_empty() || framing.len() == 1, "{:?}", policies);
    prop_assert!(answer.all("x-frame-options").is_empty());
    Ok(())
}
