//! Headers on their way to the application.
//!
//! Invariants: hop-by-hop headers end here; `X-Forwarded-*` are ours alone, whatever the client sent; no credential of ours goes on.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};

use super::{cookies, routes::Inject, via::Via};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Names that frameworks believe without asking, besides all of `x-forwarded-*` and `x-original-*`.
const BELIEVED: [HeaderName; 5] = [
    HeaderName::from_static("forwarded"),
    REAL_IP,
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("proxy"),
];

/// Takes out what concerns one connection only: the standard's list, and what `Connection` names. Framing and what the proxy
/// relies on can't be named away.
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&b| b == b','))
            .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
            .filter(|name| ![HOST, CONTENT_LENGTH, COOKIE, AUTHORIZATION, EXPECT].contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// What an application is told of the request's way.
pub(super) struct Towards<'a> {
    pub(super) via: Via,
    /// Host and port, as the browser wrote them.
    pub(super) host: &'a HeaderValue,
    /// No slash at the end.
    pub(super) prefix: &'a str,
    pub(super) secret: Option<&'a Inject>,
    /// `Authorization` carried a key of ours.
    pub(super) key_shown: bool,
}

/// Makes a request's headers those for the application. An upgrade's own headers are added afterwards.
pub(super) fn for_upstream(headers: &mut HeaderMap, towards: &Towards<'_>) {
    let trailers = headers.get_all(TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|&b| b == b',')
            .any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    drop_hop_by_hop(headers);
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let text = name.as_str();
            text.starts_with("x-forwarded-")
                || text.starts_with("x-original-")
                || BELIEVED.contains(name)
        })
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if towards.key_shown {
        headers.remove(AUTHORIZATION);
    }
    let peer = towards.via.peer.ip().to_canonical().to_string();
    let peer = HeaderValue::from_str(&peer).expect("an address is of visible ASCII characters");
    headers.insert(REAL_IP, peer.clone());
    headers.insert(FORWARDED_FOR, peer);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(towards.via.scheme.as_str()));
    headers.insert(FORWARDED_HOST, towards.host.clone());
    let prefix =
        HeaderValue::from_str(towards.prefix).expect("a prefix is of plain path characters");
    headers.insert(FORWARDED_PREFIX, prefix);
    headers.insert(HOST, towards.host.clone());
    inject(headers, towards.secret);
}

fn inject(headers: &mut HeaderMap, secret: Option<&Inject>) {
    let added = secret.map(|secret| secret.headers.as_slice()).unwrap_or_default();
    let cookie = added.iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    cookies::for_upstream(headers, cookie);
    for (name, value) in added.iter().filter(|(name, _)| *name != COOKIE) {
        headers.insert(name, value.clone());
    }
}

/// Puts a secret into a query, in place of what the client sent under that name.
pub(super) fn inject_query(query: Option<&str>, secret: &(String, String)) -> String {
    let (name, value) = secret;
    let mut out = String::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        if pair.split('=').next() != Some(name.as_str()) {
            out.push_str(pair);
            out.push('&');
        }
    }
    out.push_str(&encode_query(name));
    out.push('=');
    out.push_str(&encode_query(value));
    out
}

/// Percent-encodes all but unreserved characters.
pub(super) fn encode_query(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a text can't fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::via::{Role, Scheme};

    fn sent(lines: &[(&str, &str)], secret: Option<&Inject>, key_shown: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let peer = "[::ffff:10.0.0.7]:1234".parse().unwrap();
        let via = Via { peer, scheme: Scheme::Http, role: Role::Main };
        let host = HeaderValue::from_static("8888--abcdefgh.localhost:1");
        for_upstream(&mut headers, &Towards { via, host: &host, prefix: "/p", secret, key_shown });
        headers
    }

    #[test]
    fn what_the_client_says_of_its_way_is_overwritten() {
        let headers = sent(
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "5.6.7.8"),
                ("x-forwarded-user", "root"),
                ("x-forwarded-prefix", "/evil"),
                ("forwarded", "for=1"),
                ("x-original-url", "/admin"),
                ("x-rewrite-url", "/admin"),
                ("host", "evil"),
                ("proxy", "http://evil"),
                ("accept", "x"),
            ],
            None,
            false,
        );
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "host",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-prefix",
                "x-forwarded-proto",
                "x-real-ip"
            ]
        );
        assert_eq!(headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>(), ["10.0.0.7"]);
        assert_eq!(headers["host"], "8888--abcdefgh.localhost:1");
        assert_eq!(headers["x-forwarded-prefix"], "/p");
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let headers = sent(
            &[
                ("connection", "keep-alive, X-Secret, Host, Cookie, x-forwarded-for"),
                ("keep-alive", "300"),
                ("x-secret", "1"),
                ("proxy-authorization", "x"),
                ("te", "gzip, Trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("cookie", "a=1"),
                ("trailer", "x-sum"),
            ],
            None,
            false,
        );
        for gone in [
            "connection",
            "keep-alive",
            "x-secret",
            "proxy-authorization",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(
            (&headers["te"], &headers["cookie"]),
            (&"trailers".parse().unwrap(), &"a=1".parse().unwrap())
        );
        assert_eq!(headers["x-forwarded-for"], "10.0.0.7");
        assert_eq!(headers["trailer"], "x-sum");
    }

    #[test]
    fn secrets_take_the_place_of_what_was_sent() {
        let secret = Inject {
            headers: vec![
                (AUTHORIZATION, HeaderValue::from_static("token hush")),
                (COOKIE, HeaderValue::from_static("key=hush")),
            ],
            query: None,
        };
        let headers = sent(
            &[("authorization", "token mine"), ("cookie", "key=mine; a=1")],
            Some(&secret),
            false,
        );
        assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["token hush"]);
        assert_eq!(headers["cookie"], "a=1; key=hush");
        assert!(!sent(&[("authorization", "Bearer ours")], None, true).contains_key(AUTHORIZATION));
        assert!(
            sent(&[("authorization", "Bearer theirs")], None, false).contains_key(AUTHORIZATION)
        );
    }

    #[test]
    fn a_secret_in_the_query_replaces_the_clients() {
        let secret = ("token".to_owned(), "a&b=c".to_owned());
        assert_eq!(inject_query(None, &secret), "token=a%26b%3Dc");
        assert_eq!(inject_query(Some("x=1&token=mine&y"), &secret), "x=1&y&token=a%26b%3Dc");
    }
}
