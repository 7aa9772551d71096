//! Cookies: our own on application origins, and what is done to the application's.
//!
//! Invariants: no application sees a cookie of ours, none can set one of ours, and none can set a cookie for more than its own host.
//!
//! An application's page in a frame of the main origin's page is, for the browser, third-party content (`x.localhost` is not the same site as
//! `localhost`): there it sends only cookies that are `SameSite=None; Secure; Partitioned`. Ours remembers that it was made in a frame, and
//! then the application's cookies get these attributes too. Seen in Chromium: `Secure` and `__Host-` cookies work over plain HTTP on
//! `*.localhost`, in frames too when partitioned.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use serde::{Deserialize, Serialize};

use super::{access::Principal, origin::Authority, via::Scheme};
use crate::domain::ids::StudioId;

/// How long the cookie of an application's origin is good at most; the session ends it earlier.
pub(super) const COOKIE_SECONDS: i64 = 7 * 24 * 3600;

/// What the cookie of an application's origin says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppCookie {
    pub(super) principal: Principal,
    pub(super) studio: StudioId,
    pub(super) port: u16,
    /// Made in a frame of another site.
    pub(super) embedded: bool,
    /// Unix seconds.
    pub(super) expires: i64,
}

/// Names and attributes of our cookies on one origin.
#[derive(Debug, Clone)]
pub(super) struct OwnCookies {
    secure: bool,
    suffix: String,
}

impl OwnCookies {
    /// On an application's own origin.
    pub(super) fn new(scheme: Scheme, authority: &Authority) -> Self {
        let secure = scheme == Scheme::Https || authority.is_localhost();
        Self { secure, suffix: String::new() }
    }

    /// On the origin that all share, where the name tells the applications apart.
    pub(super) fn shared(scheme: Scheme, authority: &Authority, id: &StudioId, port: u16) -> Self {
        Self { suffix: format!("-{port}-{id}"), ..Self::new(scheme, authority) }
    }

    fn name(&self, what: &str) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}atelier-{what}{}", self.suffix)
    }

    /// Name of the cookie that lets its holder in.
    pub(super) fn app(&self) -> String {
        self.name("app")
    }

    /// Name of the cookie that ties a sign-in to the browser that began it.
    pub(super) fn state(&self) -> String {
        self.name("state")
    }

    /// Whether cookies for frames can be had here at all.
    pub(super) fn secure(&self) -> bool {
        self.secure
    }

    /// A `Set-Cookie` value. `max_age` in seconds; `None`: until the browser closes.
    pub(super) fn set(
        &self,
        name: &str,
        value: &str,
        embedded: bool,
        max_age: Option<u32>,
    ) -> HeaderValue {
        let site = match (self.secure, embedded) {
            (true, true) => "; SameSite=None; Secure; Partitioned",
            (true, false) => "; SameSite=Lax; Secure",
            (false, _) => "; SameSite=Lax",
        };
        let age = max_age.map_or_else(String::new, |age| format!("; Max-Age={age}"));
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly{site}{age}"))
            .expect("names and values are of base64url characters, '-', '_' and '.'")
    }
}

/// Whether a cookie of that name would be ours, on any origin.
pub(super) fn is_ours(name: &str) -> bool {
    let strip = |name: &str, prefix: &str| -> Option<String> {
        let (head, rest) = name.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| rest.to_owned())
    };
    let bare = strip(name, "__host-").or_else(|| strip(name, "__secure-"));
    strip(bare.as_deref().unwrap_or(name), "atelier").is_some()
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|value| {
        value.as_bytes().split(|&b| b == b';').map(<[u8]>::trim_ascii).filter(|p| !p.is_empty())
    })
}

fn pair_name(pair: &[u8]) -> &[u8] {
    pair.split(|&b| b == b'=').next().unwrap_or(pair).trim_ascii()
}

/// The value of a cookie that the client sent.
pub(super) fn sent<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pair = pairs(headers).find(|pair| pair_name(pair) == name.as_bytes())?;
    std::str::from_utf8(pair.get(name.len() + 1..)?).ok().map(str::trim)
}

/// Takes our cookies out of a request, joins the rest into one header (HTTP/2 splits them), and adds the application's secret one.
pub(super) fn for_upstream(headers: &mut HeaderMap, secret: Option<&HeaderValue>) {
    if !headers.contains_key(COOKIE) && secret.is_none() {
        return;
    }
    let secret_name = secret.map(|value| pair_name(value.as_bytes()).to_owned());
    let mut joined = Vec::new();
    for pair in pairs(headers) {
        let name = pair_name(pair);
        let ours = std::str::from_utf8(name).is_ok_and(is_ours);
        if ours || secret_name.as_deref() == Some(name) {
            continue;
        }
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(pair);
    }
    if let Some(secret) = secret {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(secret.as_bytes());
    }
    headers.remove(COOKIE);
    if !joined.is_empty() {
        let value = HeaderValue::from_bytes(&joined).expect("joined from valid header values");
        headers.insert(COOKIE, value);
    }
}

/// Where an application's cookies are set.
pub(super) struct Setting<'a> {
    /// Public path for a cookie's path, where it changes.
    pub(super) path: &'a dyn Fn(&str) -> Option<String>,
    /// In shared-origin mode: the prefix (ending in `/`) that no cookie may leave.
    pub(super) confine: Option<&'a str>,
    pub(super) embedded: bool,
}

/// Drops or rewrites the application's `Set-Cookie` headers.
pub(super) fn for_client(headers: &mut HeaderMap, setting: &Setting<'_>) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let kept: Vec<_> =
        headers.get_all(SET_COOKIE).iter().filter_map(|value| rewritten(value, setting)).collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

fn rewritten(value: &HeaderValue, setting: &Setting<'_>) -> Option<HeaderValue> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut parts = text.split(';');
    let pair = parts.next()?.trim();
    let name = pair.split('=').next().unwrap_or(pair).trim();
    // A nameless cookie is sent as `value` alone, which could read as `name=value` of ours.
    if name.is_empty() || !pair.contains('=') || is_ours(name) {
        return None;
    }
    let host_bound = name.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("__Host-"));
    let mut out = pair.to_owned();
    let mut has_path = false;
    for attribute in parts.map(str::trim) {
        let (key, argument) = attribute.split_once('=').unwrap_or((attribute, ""));
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" => return None,
            "samesite" | "secure" | "partitioned" if setting.embedded => {}
            "path" => {
                has_path = true;
                let path = argument.trim();
                let public = if host_bound { None } else { (setting.path)(path) };
                let public = public.unwrap_or_else(|| path.to_owned());
                out.push_str("; Path=");
                out.push_str(setting.confine.filter(|c| !public.starts_with(c)).unwrap_or(&public));
            }
            "" => {}
            _ => {
                out.push_str("; ");
                out.push_str(attribute);
            }
        }
    }
    match setting.confine {
        Some(_) if host_bound => return None,
        Some(prefix) if !has_path => {
            out.push_str("; Path=");
            out.push_str(prefix);
        }
        _ => {}
    }
    if setting.embedded {
        out.push_str("; SameSite=None; Secure; Partitioned");
    }
    HeaderValue::from_bytes(out.as_bytes()).ok()
}

/// Whether this request loads a document into a frame of another site's page.
pub(super) fn is_framed(headers: &HeaderMap) -> bool {
    const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let is = |name, values: &[&str]| {
        headers
            .get(name)
            .is_some_and(|v| values.iter().any(|value| v.as_bytes() == value.as_bytes()))
    };
    is(DEST, &["iframe", "frame", "embed", "object"]) && is(SITE, &["cross-site"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str, confine: Option<&str>, embedded: bool) -> Option<String> {
        let path = |p: &str| (p == "/").then(|| "/p/".to_owned());
        let mut headers = HeaderMap::from_iter([(SET_COOKIE, value.parse().unwrap())]);
        for_client(&mut headers, &Setting { path: &path, confine, embedded });
        headers.get(SET_COOKIE).map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn applications_set_cookies_for_themselves_only() {
        let set = |value| set(value, None, false);
        assert_eq!(set("a=1; Path=/; HttpOnly").as_deref(), Some("a=1; Path=/p/; HttpOnly"));
        assert_eq!(set("a=1; path=/x;secure").as_deref(), Some("a=1; Path=/x; secure"));
        assert_eq!(
            set("__Host-a=1; Path=/; Secure").as_deref(),
            Some("__Host-a=1; Path=/; Secure")
        );
        assert_eq!(set("a=1").as_deref(), Some("a=1"));
        for dropped in [
            "a=1; Domain=localhost",
            "a=1; DOMAIN =.x",
            "a=1;domain",
            "atelier-app=x",
            "__Host-atelier-app=x",
            "__HOST-Atelier_session=x",
            "__Secure-atelier=x",
            "=__Host-atelier-app=x",
            "__Host-atelier-app",
            " atelier=x",
        ] {
            assert_eq!(set(dropped), None, "{dropped}");
        }
    }

    #[test]
    fn a_shared_origin_confines_them_to_their_prefix() {
        let set = |value| set(value, Some("/p/"), false);
        assert_eq!(set("a=1").as_deref(), Some("a=1; Path=/p/"));
        assert_eq!(set("a=1; Path=/").as_deref(), Some("a=1; Path=/p/"));
        assert_eq!(set("a=1; Path=/p/x").as_deref(), Some("a=1; Path=/p/x"));
        assert_eq!(set("a=1; Path=/q").as_deref(), Some("a=1; Path=/p/"));
        assert_eq!(set("a=1; Path=/px").as_deref(), Some("a=1; Path=/p/"));
        assert_eq!(set("__Host-a=1; Path=/; Secure"), None);
    }

    #[test]
    fn in_a_frame_they_are_partitioned() {
        assert_eq!(
            set("a=1; SameSite=Lax; Secure; Path=/x", None, true).as_deref(),
            Some("a=1; Path=/x; SameSite=None; Secure; Partitioned")
        );
    }

    #[test]
    fn requests_lose_ours_and_gain_the_secret() {
        let mut headers = HeaderMap::new();
        for value in ["a=1; __Host-atelier-app=x", "atelier-state=y;b=2", "key=forged"] {
            headers.append(COOKIE, value.parse().unwrap());
        }
        assert_eq!(sent(&headers, "atelier-state"), Some("y"));
        assert_eq!(sent(&headers, "c"), None);
        for_upstream(&mut headers, Some(&HeaderValue::from_static("key=true")));
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; key=true"]);
        let mut only_ours = HeaderMap::from_iter([(COOKIE, "atelier-app=x".parse().unwrap())]);
        for_upstream(&mut only_ours, None);
        assert!(only_ours.is_empty());
    }
}
