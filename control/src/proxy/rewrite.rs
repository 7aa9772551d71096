//! Headers on their way back to the client: addresses and cookies made right under the prefix.
//!
//! Bodies are never changed. An address is changed only where it names the application itself.

use std::{net::SocketAddr, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFRESH,
        SET_COOKIE, TRANSFER_ENCODING, X_FRAME_OPTIONS,
    },
};

use super::{
    cookies::{self, Setting},
    headers::drop_hop_by_hop,
    origin::{Authority, Origins},
    via::Scheme,
};
use crate::domain::subpath::Subpath;

const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Which origin an answer goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// The application's own.
    Own,
    /// The one that all applications share.
    Shared,
    /// A script with a key, on the control plane's origin: nothing may take root there.
    Script,
}

/// How an answer is changed.
pub(super) struct Back {
    pub(super) audience: Audience,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// No slash at the end.
    pub(super) prefix: String,
    pub(super) subpath: Subpath,
    /// Where the application is, if it has an address: it may call itself by it.
    pub(super) address: Option<SocketAddr>,
    /// The port that it knows itself by.
    pub(super) port: u16,
    /// Shown in a frame of another site.
    pub(super) embedded: bool,
    /// They know who may show the application in a frame.
    pub(super) origins: Arc<Origins>,
}

impl Back {
    /// Makes an answer's headers those for the client.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        if headers.contains_key(TRANSFER_ENCODING) {
            // Both lengths at once: the chunks count, and the other must not go on.
            headers.remove(CONTENT_LENGTH);
        }
        drop_hop_by_hop(headers);
        headers.remove(ALT_SVC);
        for name in [LOCATION, CONTENT_LOCATION] {
            let changed = headers.get(&name).and_then(|v| self.address(v.to_str().ok()?));
            if let Some(value) = changed.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        self.refresh(headers);
        self.cookies(headers);
        self.framing(headers);
    }

    /// The public form of an address that the application gave, if it names the application itself and has to change.
    fn address(&self, given: &str) -> Option<String> {
        let (scheme, rest) = match given.split_once("://") {
            Some((scheme, rest))
                if ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
            {
                (Some(scheme), rest)
            }
            _ => match given.strip_prefix("//") {
                Some(rest) => (None, rest),
                None => return given.starts_with('/').then(|| self.path(given)).flatten(),
            },
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        if !self.is_own(&Authority::parse(authority)?, scheme) {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = self.path(&path).unwrap_or(path);
        Some(format!("{}{path}", self.authority.origin(self.scheme)))
    }

    /// Whether the application means itself: by the name that the browser uses, by its address, or by this machine's names with
    /// its own port.
    fn is_own(&self, given: &Authority, scheme: Option<&str>) -> bool {
        let default =
            if scheme.is_some_and(|s| s.eq_ignore_ascii_case("https")) { 443 } else { 80 };
        let port = given.port.unwrap_or(default);
        let public = self.authority.port.unwrap_or(self.scheme.default_port());
        // An application behind TLS often believes to be at http, without a port.
        let ours = given.name == self.authority.name && (port == public || given.port.is_none());
        let address =
            self.address.is_some_and(|a| a.ip().to_string() == given.name && a.port() == port);
        let local =
            matches!(given.name.as_str(), "localhost" | "127.0.0.1" | "0.0.0.0" | "::1" | "::");
        ours || address || (local && port == self.port)
    }

    /// The public form of a path, if it differs. An application that has honoured `X-Forwarded-Prefix` needs no help.
    fn path(&self, path: &str) -> Option<String> {
        let Subpath::Replace(replacement) = &self.subpath else { return None };
        if path
            .strip_prefix(&self.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        {
            return None;
        }
        let replacement = replacement.as_str();
        if path.strip_suffix('/').unwrap_or(path)
            == replacement.strip_suffix('/').unwrap_or(replacement)
        {
            return Some(format!("{}/", self.prefix));
        }
        path.strip_prefix(replacement).map(|rest| format!("{}/{rest}", self.prefix))
    }

    /// `Refresh: 5; url=/x`
    fn refresh(&self, headers: &mut HeaderMap) {
        let changed = headers.get(REFRESH).and_then(|value| {
            let text = value.to_str().ok()?;
            let at = text.to_ascii_lowercase().find("url=")? + "url=".len();
            let (before, address) = text.split_at_checked(at)?;
            HeaderValue::from_str(&format!("{before}{}", self.address(address)?)).ok()
        });
        if let Some(value) = changed {
            headers.insert(REFRESH, value);
        }
    }

    fn cookies(&self, headers: &mut HeaderMap) {
        if self.audience == Audience::Script {
            headers.remove(SET_COOKIE);
            return;
        }
        let confine = format!("{}/", self.prefix);
        let setting = Setting {
            path: &|path| self.path(path),
            confine: (self.audience == Audience::Shared).then_some(confine.as_str()),
            embedded: self.embedded,
        };
        cookies::for_client(headers, &setting);
    }

    /// Who may frame the application is the platform's to say: its own pages and the control plane's, and no other studio's.
    fn framing(&self, headers: &mut HeaderMap) {
        match self.audience {
            Audience::Own => {}
            Audience::Shared => {
                headers.remove(CLEAR_SITE_DATA);
            }
            Audience::Script => {
                headers.remove(CLEAR_SITE_DATA);
                headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
                return;
            }
        }
        let framed = headers.remove(X_FRAME_OPTIONS).is_some();
        let policies: Vec<_> = headers.get_all(CONTENT_SECURITY_POLICY).iter().cloned().collect();
        let html =
            headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"));
        if !(html || framed || !policies.is_empty()) {
            return;
        }
        headers.remove(CONTENT_SECURITY_POLICY);
        for policy in &policies {
            if let Some(rest) = without_frame_ancestors(policy) {
                headers.append(CONTENT_SECURITY_POLICY, rest);
            }
        }
        let ancestors = self.origins.frame_ancestors(self.scheme, &self.authority);
        let ours = format!("frame-ancestors 'self' {ancestors}");
        if let Ok(ours) = HeaderValue::from_str(&ours) {
            headers.append(CONTENT_SECURITY_POLICY, ours);
        }
    }
}

fn without_frame_ancestors(policy: &HeaderValue) -> Option<HeaderValue> {
    let text = String::from_utf8_lossy(policy.as_bytes());
    // A comma separates whole policies in one header.
    let policies: Vec<String> = text
        .split(',')
        .map(|policy| {
            let rest: Vec<&str> = policy
                .split(';')
                .map(str::trim)
                .filter(|directive| {
                    let name = directive.split_ascii_whitespace().next().unwrap_or_default();
                    !name.is_empty() && !name.eq_ignore_ascii_case("frame-ancestors")
                })
                .collect();
            rest.join("; ")
        })
        .filter(|policy| !policy.is_empty())
        .collect();
    (!policies.is_empty()).then(|| HeaderValue::from_bytes(policies.join(", ").as_bytes()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/code-studios/DEMO/abcdefgh/8888";

    fn back(subpath: &str, audience: Audience) -> Back {
        Back {
            audience,
            scheme: Scheme::Https,
            authority: Authority::parse("8888--abcdefgh.apps.example.com").unwrap(),
            prefix: PREFIX.to_owned(),
            subpath: subpath.parse().unwrap(),
            address: Some("10.1.2.3:8888".parse().unwrap()),
            port: 8888,
            embedded: false,
            origins: Arc::new(Origins {
                main_url: Some("https://atelier.example.com".to_owned()),
                ..Origins::default()
            }),
        }
    }

    fn location(subpath: &str, given: &str) -> String {
        let mut headers = HeaderMap::from_iter([(LOCATION, given.parse().unwrap())]);
        back(subpath, Audience::Own).apply(&mut headers);
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn paths_get_the_prefix_that_was_taken_off() {
        for (given, public) in [
            ("/", format!("{PREFIX}/")),
            ("/login?next=/x", format!("{PREFIX}/login?next=/x")),
            (PREFIX, PREFIX.to_owned()),
            ("relative/x", "relative/x".to_owned()),
            ("?q", "?q".to_owned()),
            ("//evil.com/x", "//evil.com/x".to_owned()),
            ("https://evil.com/x", "https://evil.com/x".to_owned()),
            (
                "https://8888--abcdefgh.apps.example.com.evil.com/",
                "https://8888--abcdefgh.apps.example.com.evil.com/".to_owned(),
            ),
            ("mailto:a@b", "mailto:a@b".to_owned()),
        ] {
            assert_eq!(location("/", given), public, "{given}");
        }
        assert_eq!(location("/sub/", "/sub/x"), format!("{PREFIX}/x"));
        assert_eq!(location("/sub/", "/sub"), format!("{PREFIX}/"));
        assert_eq!(location("/sub/", "/other"), "/other");
        assert_eq!(location("$request_uri", "/x"), "/x");
    }

    #[test]
    fn the_application_is_known_by_all_its_names() {
        let public = "https://8888--abcdefgh.apps.example.com";
        for own in [
            "http://8888--abcdefgh.apps.example.com",
            "//8888--abcdefgh.apps.example.com",
            "http://10.1.2.3:8888",
            "http://localhost:8888",
            "HTTP://127.0.0.1:8888",
            "http://0.0.0.0:8888",
        ] {
            assert_eq!(location("/", &format!("{own}/x")), format!("{public}{PREFIX}/x"), "{own}");
            assert_eq!(
                location("$request_uri", &format!("{own}/x")),
                format!("{public}/x"),
                "{own}"
            );
        }
        assert_eq!(location("/", "http://localhost:8888"), format!("{public}{PREFIX}/"));
        for other in
            ["http://localhost:8501/x", "http://10.1.2.3:22/x", "http://u@localhost:8888/x"]
        {
            assert_eq!(location("/", other), other);
        }
    }

    #[test]
    fn refreshes_follow() {
        let mut headers = HeaderMap::from_iter([(REFRESH, "3; URL=/x".parse().unwrap())]);
        back("/", Audience::Own).apply(&mut headers);
        assert_eq!(headers[REFRESH], format!("3; URL={PREFIX}/x"));
    }

    #[test]
    fn framing_is_the_platforms_to_say() {
        let mut headers = HeaderMap::from_iter([
            (
                CONTENT_SECURITY_POLICY,
                "frame-ancestors 'none'; default-src 'self'".parse().unwrap(),
            ),
            (X_FRAME_OPTIONS, "DENY".parse().unwrap()),
        ]);
        headers.append(CONTENT_SECURITY_POLICY, "Frame-Ancestors *".parse().unwrap());
        back("/", Audience::Own).apply(&mut headers);
        assert!(!headers.contains_key(X_FRAME_OPTIONS));
        assert_eq!(
            headers.get_all(CONTENT_SECURITY_POLICY).iter().collect::<Vec<_>>(),
            ["default-src 'self'", "frame-ancestors 'self' https://atelier.example.com"]
        );
        let mut data = HeaderMap::from_iter([(CONTENT_TYPE, "application/json".parse().unwrap())]);
        back("/", Audience::Own).apply(&mut data);
        assert_eq!(data.len(), 1);
    }

    #[test]
    fn nothing_takes_root_on_the_control_planes_origin() {
        let mut headers = HeaderMap::from_iter([
            (SET_COOKIE, "a=1".parse().unwrap()),
            (CLEAR_SITE_DATA, "\"cookies\"".parse().unwrap()),
            (ALT_SVC, "h3=\":443\"".parse().unwrap()),
        ]);
        back("/", Audience::Script).apply(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "sandbox");
    }

    #[test]
    fn of_two_lengths_the_chunks_count() {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_LENGTH, "5".parse().unwrap()),
            (TRANSFER_ENCODING, "chunked".parse().unwrap()),
        ]);
        back("/", Audience::Own).apply(&mut headers);
        assert!(headers.is_empty());
    }
}
