//! A request's head, read once, and the answers that need nothing else.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, HOST, LOCATION, ORIGIN},
    uri::PathAndQuery,
};
use http_body::Body;

use super::{
    body::ProxyBody, decide::Decision, origin::Authority, upgrade, via::Via, waiting::Answer,
};

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A request's head, read once.
pub(super) struct Visit<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) target: Option<&'a PathAndQuery>,
    pub(super) authority: Authority,
    /// As the browser wrote it.
    pub(super) host: HeaderValue,
    pub(super) via: Via,
    pub(super) upgrade: bool,
}

impl<'a> Visit<'a> {
    /// Reads a head. `Err`: what is wrong with its host.
    pub(super) fn read<B: Body>(request: &'a Request<B>, via: Via) -> Result<Self, &'static str> {
        let (authority, host) = authority(request)?;
        let uri = request.uri();
        Ok(Self {
            headers: request.headers(),
            method: request.method(),
            path: uri.path(),
            query: uri.query(),
            target: uri.path_and_query(),
            authority,
            host,
            via,
            upgrade: upgrade::is_wanted(request),
        })
    }
}

impl Visit<'_> {
    pub(super) fn answer(&self, answer: Answer) -> Decision {
        Decision::Answer(Box::new(answer.response(self.headers)))
    }

    pub(super) fn is_reading(&self) -> bool {
        !self.upgrade && matches!(*self.method, Method::GET | Method::HEAD)
    }

    /// Path and query as they came in.
    pub(super) fn path_and_query(&self) -> String {
        match self.query {
            None => self.path.to_owned(),
            Some(query) => format!("{}?{query}", self.path),
        }
    }

    /// Sends the browser elsewhere, with its method.
    pub(super) fn redirect(&self, to: &str) -> Decision {
        let Ok(to) = HeaderValue::from_bytes(to.as_bytes()) else {
            return self.bad_request("bad-target", "The address can't be passed on in a header.");
        };
        let mut response = Response::new(ProxyBody::empty());
        let reading = self.is_reading();
        *response.status_mut() =
            if reading { StatusCode::FOUND } else { StatusCode::TEMPORARY_REDIRECT };
        response.headers_mut().insert(LOCATION, to);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Decision::Answer(Box::new(response))
    }

    pub(super) fn bad_request(&self, code: &'static str, why: &str) -> Decision {
        self.answer(Answer::new(StatusCode::BAD_REQUEST, code, "Bad request", why))
    }

    pub(super) fn unknown_studio(&self) -> Decision {
        self.answer(Answer::new(
            StatusCode::NOT_FOUND,
            "unknown-studio",
            "No such studio",
            "There is no studio at this address. It may have been deleted.",
        ))
    }

    /// `Origin` must be this very origin where a request could do something: others may not speak in a user's name.
    pub(super) fn origin_is_ours(&self) -> bool {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let given = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(given), None) => given.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return false,
        };
        let Some((scheme, authority)) = given.split_once("://") else { return false };
        scheme == self.via.scheme.as_str()
            && Authority::parse(authority).is_some_and(|a| {
                a.origin(self.via.scheme) == self.authority.origin(self.via.scheme)
            })
    }

    /// Whether a page of another origin makes this request without its user going there. Browsers say so; where they don't, the
    /// cookie's `SameSite` has to do.
    pub(super) fn is_foreign_subrequest(&self) -> bool {
        let is = |name, value: &[u8]| self.headers.get(name).is_some_and(|v| v.as_bytes() == value);
        (is(FETCH_SITE, b"cross-site") || is(FETCH_SITE, b"same-site"))
            && !is(FETCH_MODE, b"navigate")
    }
}

/// The host that a request is for: one, well-formed, and the same in target and header.
fn authority<B>(request: &Request<B>) -> Result<(Authority, HeaderValue), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err("There is more than one Host header.");
    }
    let host = match (request.uri().authority(), header) {
        (Some(target), Some(header))
            if !header.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()) =>
        {
            return Err("The request names two different hosts.");
        }
        (Some(target), _) => HeaderValue::from_str(target.as_str()).map_err(|_| MALFORMED)?,
        (None, Some(header)) => header.clone(),
        (None, None) => return Err("The request names no host."),
    };
    let authority = host.to_str().ok().and_then(Authority::parse).ok_or(MALFORMED)?;
    Ok((authority, host))
}

const MALFORMED: &str = "The request's host is malformed.";
