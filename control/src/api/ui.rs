//! The web UI: files that are part of the program.
//!
//! Every address that is no file is a page of the UI, which routes by itself in the browser. Files below `assets/` have
//! their content's hash in their name and are kept for ever; the page that names them is asked for anew each time.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Files;

const INDEX: &str = "index.html";
const HASHED: &str = "assets/";

/// The pages. `applications` are the origins that they may show in frames, as sources of a Content-Security-Policy; our own is
/// among the frames' too, since applications send browsers there and back to find out who they are.
///
/// # Errors
/// If `applications` can't be in a header.
pub fn router(applications: &str) -> Result<Router, header::InvalidHeaderValue> {
    // Styles inline: the terminal sizes its rows so.
    let policy = format!(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-src 'self' {applications}; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
    );
    let policy = Arc::new(HeaderValue::try_from(policy)?);
    Ok(Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap| {
        let answer = answer(&method, uri.path(), &headers, &policy);
        async move { answer }
    }))
}

/// Browsers that open a page by another name of this machine go on by `origin`, below which the applications are too: only then
/// are both one site to them. Programs are served by any name.
pub fn send_browsers_to(origin: String, router: Router) -> Router {
    let origin: Arc<str> = origin.into();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let elsewhere = elsewhere(&request, &origin);
        async move {
            match elsewhere {
                Some(place) => Redirect::temporary(&place).into_response(),
                None => next.run(request).await,
            }
        }
    }))
}

/// Where a browser should go on with this request.
fn elsewhere(request: &Request, origin: &str) -> Option<String> {
    let text = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
    let opens_a_page = text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document")
        && request.method() == Method::GET;
    let host = text("host")?;
    let here = origin.split_once("://").is_some_and(|(_, known)| known == host);
    if !opens_a_page || here || !is_loopback(host) {
        return None;
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    Some(format!("{origin}{path}"))
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn answer(method: &Method, path: &str, headers: &HeaderMap, policy: &HeaderValue) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = path.trim_start_matches('/');
    let (path, file) = match Files::get(path) {
        Some(file) => (path, file),
        // A browser that has an old page asks for what is gone: it must not take a page for a script.
        None if path.starts_with(HASHED) => return StatusCode::NOT_FOUND.into_response(),
        None => match Files::get(INDEX) {
            Some(file) => (INDEX, file),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    let mut response = content(path, file, headers);
    let out = response.headers_mut();
    out.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn content(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&file.metadata.sha256_hash()));
    let lasting =
        if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| known.split(',').any(|it| it.trim() == tag));
    let kept = [(header::ETAG, tag), (header::CACHE_CONTROL, lasting.to_owned())];
    if fresh {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream().to_string();
    (kept, [(header::CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, headers: &HeaderMap) -> Response {
        answer(&Method::GET, path, headers, &HeaderValue::from_static("default-src 'self'"))
    }

    #[test]
    fn an_address_of_the_ui_is_its_page_and_a_missing_asset_is_not() {
        let page = get("/studios/abcdefgh", &HeaderMap::new());
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html");
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(page.headers()[header::CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(get("/assets/gone.js", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_page_that_the_browser_has_is_not_sent_again() {
        let tag = get("/", &HeaderMap::new()).headers()[header::ETAG].clone();
        let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
        assert_eq!(get("/", &again).status(), StatusCode::NOT_MODIFIED);
        let other = [(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""))];
        assert_eq!(get("/", &HeaderMap::from_iter(other)).status(), StatusCode::OK);
    }

    #[test]
    fn nothing_is_written_here() {
        let policy = HeaderValue::from_static("default-src 'self'");
        let refused = answer(&Method::POST, "/", &HeaderMap::new(), &policy);
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn only_browsers_that_open_pages_are_sent_elsewhere() {
        let request = |host: &str, mode: &str| {
            Request::builder()
                .uri("/login/link/x?y=z")
                .header("host", host)
                .header("sec-fetch-mode", mode)
                .header("sec-fetch-dest", "document")
                .body(axum::body::Body::empty())
                .unwrap()
        };
        let origin = "http://atelier.localhost:1";
        let page = elsewhere(&request("localhost:1", "navigate"), origin);
        assert_eq!(page.as_deref(), Some("http://atelier.localhost:1/login/link/x?y=z"));
        assert!(elsewhere(&request("127.0.0.1:1", "navigate"), origin).is_some());
        assert_eq!(elsewhere(&request("localhost:1", "cors"), origin), None);
        assert_eq!(elsewhere(&request("atelier.localhost:1", "navigate"), origin), None);
        assert_eq!(elsewhere(&request("10.0.0.1:1", "navigate"), origin), None);
    }

    #[test]
    fn origins_that_would_break_the_header_are_refused() {
        assert!(router("http://*.localhost:8081").is_ok());
        assert!(router("http://a\r\nset-cookie: b").is_err());
    }
}
