//! Which host and path a request is for, and what the other hosts are called.
//!
//! Every application of every studio has an origin of its own, `<port>--<id>.<domain>`, so that the browser keeps studios apart from
//! each other and from the control plane. Paths are the same on every origin.

use std::net::IpAddr;

use super::via::Scheme;
use crate::domain::ids::{ProjectKey, StudioId};

/// How the hosts of this instance are called. A pure description; nothing here is looked up.
#[derive(Debug, Clone)]
pub struct Origins {
    /// Applications live under it: `<port>--<id>.<domain>`.
    pub domain: String,
    /// More domains below which applications are reached; their own pages are told of `domain`.
    pub other_domains: Vec<String>,
    /// Names of the main origin, without port, besides `domain` itself. IP addresses always count as the main origin: a name that an
    /// attacker points at this machine is a name, not an address.
    pub main_hosts: Vec<String>,
    /// `https://atelier.example.com`, no slash at the end: where people sign in. Without it, `domain` with the request's own port.
    pub main_url: Option<String>,
    /// Port of the applications' origins as browsers see it. Without it, the request's own.
    pub apps_port: Option<u16>,
    /// Shared-origin mode: the port, as browsers see it, where all applications share one origin. A studio's page can then act as its
    /// user in every other studio that this user has open; hence off unless it is set. Needs `main_url`.
    pub shared_port: Option<u16>,
    /// Page of the main origin that signs people in; gets `next=` with a path of the main origin.
    pub login_path: String,
    /// Page of a studio on the main origin, with `{project}` and `{id}` in it.
    pub studio_page: String,
}

/// A name that browsers take for this machine, like every one below `localhost`.
pub const LOOPBACK_DOMAIN: &str = "atelier.localhost";

impl Default for Origins {
    fn default() -> Self {
        Self {
            domain: "localhost".to_owned(),
            other_domains: Vec::new(),
            main_hosts: Vec::new(),
            main_url: None,
            apps_port: None,
            shared_port: None,
            login_path: "/login".to_owned(),
            studio_page: "/studios/{id}".to_owned(),
        }
    }
}

/// What a host name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Main,
    App {
        id: StudioId,
        port: u16,
    },
    /// `<project>-<name>`, lower-case.
    Alias(String),
    Unknown,
}

/// A request's authority in parts: `name` in lower case and without brackets, `port` only where it is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub name: String,
    pub port: Option<u16>,
}

impl Authority {
    /// Reads a `Host` header. No user information, no empty name, nothing but host characters.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                name.parse::<std::net::Ipv6Addr>().ok()?;
                (name, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let host_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(host_byte) {
            return None;
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Self { name: name.to_ascii_lowercase(), port })
    }

    fn host(&self) -> String {
        if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() }
    }

    /// `scheme://host[:port]`, the default port left out.
    pub fn origin(&self, scheme: Scheme) -> String {
        let host = self.host();
        match self.port.filter(|&port| port != scheme.default_port()) {
            None => format!("{scheme}://{host}"),
            Some(port) => format!("{scheme}://{host}:{port}"),
        }
    }

    /// Whether browsers treat plain HTTP to it as secure, so that `Secure` cookies work.
    pub fn is_localhost(&self) -> bool {
        self.name == "localhost" || self.name.ends_with(".localhost")
    }
}

/// What is wrong with an instance's names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigins {
    #[error("{name:?} is not a host name in lower case without a port")]
    Host { name: String },
    #[error("the main address {url:?} is not http(s)://host[:port], without a path")]
    MainUrl { url: String },
    #[error(
        "shared-origin mode needs the main address: it can't be told from a request on another port"
    )]
    SharedWithoutMainUrl,
    #[error("{path:?} is not a path: it begins with one /")]
    Path { path: String },
}

impl Origins {
    /// Names on this machine alone. The main origin and the applications are below one name, so that browsers take them for
    /// one site: applications in frames of our pages then have their cookies and their storage also where those of other sites
    /// are blocked.
    pub fn loopback() -> Self {
        Self {
            domain: LOOPBACK_DOMAIN.to_owned(),
            other_domains: vec!["localhost".to_owned()],
            main_hosts: vec!["localhost".to_owned()],
            ..Self::default()
        }
    }

    /// Finds mistakes before they become redirects to nowhere.
    pub fn check(&self) -> Result<(), InvalidOrigins> {
        for name in self.main_hosts.iter().chain(&self.other_domains).chain([&self.domain]) {
            let read = Authority::parse(name);
            if read.is_none_or(|read| read.name != *name || read.port.is_some()) {
                return Err(InvalidOrigins::Host { name: name.clone() });
            }
        }
        match &self.main_url {
            None if self.shared_port.is_some() => return Err(InvalidOrigins::SharedWithoutMainUrl),
            None => {}
            Some(url) => {
                let read = [Scheme::Http, Scheme::Https].iter().any(|&scheme| {
                    let authority =
                        url.strip_prefix(scheme.as_str()).and_then(|u| u.strip_prefix("://"));
                    authority.and_then(Authority::parse).is_some_and(|a| a.origin(scheme) == *url)
                });
                if !read {
                    return Err(InvalidOrigins::MainUrl { url: url.clone() });
                }
            }
        }
        for path in [&self.login_path, &self.studio_page] {
            if !path.starts_with('/') || path.starts_with("//") {
                return Err(InvalidOrigins::Path { path: path.clone() });
            }
        }
        Ok(())
    }

    /// What the host of a request is.
    pub fn classify(&self, authority: &Authority) -> Host {
        let name = authority.name.as_str();
        if name == self.domain
            || name.parse::<IpAddr>().is_ok()
            || self.main_hosts.iter().any(|main| main == name)
        {
            return Host::Main;
        }
        let below = |domain: &String| name.strip_suffix(domain)?.strip_suffix('.');
        match [&self.domain].into_iter().chain(&self.other_domains).find_map(below) {
            Some(label) if !label.is_empty() && !label.contains('.') => Self::application(label)
                .map_or_else(|| Host::Alias(label.to_owned()), |(port, id)| Host::App { id, port }),
            _ => Host::Unknown,
        }
    }

    fn application(label: &str) -> Option<(u16, StudioId)> {
        let (port, id) = label.split_once("--")?;
        Some((canonical_port(port)?, id.parse().ok()?))
    }

    /// Origin of one application, for a browser that came by `from`.
    pub fn app(&self, scheme: Scheme, from: &Authority, id: &StudioId, port: u16) -> Authority {
        let name = format!("{port}--{id}.{}", self.domain);
        Authority {
            name,
            port: self.apps_port.or(from.port).filter(|&p| p != scheme.default_port()),
        }
    }

    /// Origin that all applications share, when that mode is on.
    pub fn shared(&self, from: &Authority) -> Option<Authority> {
        self.shared_port.map(|port| Authority { name: from.name.clone(), port: Some(port) })
    }

    /// Where people sign in: an origin, no slash at the end.
    pub fn main(&self, scheme: Scheme, from: &Authority) -> String {
        self.main_url.clone().unwrap_or_else(|| {
            Authority { name: self.domain.clone(), port: from.port }.origin(scheme)
        })
    }

    /// Who may show an application in a frame, beside itself.
    pub fn frame_ancestors(&self, scheme: Scheme, from: &Authority) -> String {
        let main = self.main(scheme, from);
        if self.main_url.is_some() || !from.is_localhost() {
            return main;
        }
        let named =
            |name: &str| Authority { name: name.to_owned(), port: from.port }.origin(scheme);
        let mut all = main;
        for other in [named("localhost"), named("127.0.0.1")] {
            if !all.contains(&other) {
                all.push(' ');
                all.push_str(&other);
            }
        }
        all
    }

    /// A studio's page on the main origin.
    pub fn studio_page(&self, main: &str, project: &ProjectKey, id: &StudioId) -> String {
        let page = self.studio_page.replace("{project}", project.as_str());
        format!("{main}{}", page.replace("{id}", id.as_str()))
    }
}

/// A port as it is written in canonical form: no zeroes in front, not 0.
fn canonical_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| *port != 0 && port.to_string() == text)
}

/// A path of an application: `/code-studios/<project>/<id>/<port>[/…]`, with or without `/dip` in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPath {
    pub project: ProjectKey,
    pub id: StudioId,
    /// `None`: the studio itself, which leads to its first tool.
    pub port: Option<u16>,
    /// Length of the prefix, without the slash after it.
    prefix: usize,
    /// Whether a slash follows the prefix.
    pub slash: bool,
}

/// Whether a path is in the part of the name space that applications have, well-formed or not.
pub fn is_app_path(path: &str) -> bool {
    below_root(path).is_some()
}

fn below_root(path: &str) -> Option<&str> {
    path.strip_prefix("/dip").unwrap_or(path).strip_prefix("/code-studios/")
}

impl AppPath {
    /// Reads the prefix. It must be written literally: nothing encoded, no doubled slash.
    pub fn parse(path: &str) -> Option<Self> {
        let (project, rest) = below_root(path)?.split_once('/')?;
        let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (port, after) = match rest.split_once('/') {
            Some((port, after)) => (port, Some(after)),
            None => (rest, None),
        };
        let (project, id) = (project.parse().ok()?, id.parse().ok()?);
        if port.is_empty() {
            // Only `/code-studios/<project>/<id>` and the same with a slash.
            let prefix = path.trim_end_matches('/').len();
            return after.is_none().then_some(Self {
                project,
                id,
                port: None,
                prefix,
                slash: false,
            });
        }
        let prefix = path.len() - after.map_or(0, |after| after.len() + 1);
        let port = Some(canonical_port(port)?);
        Some(Self { project, id, port, prefix, slash: after.is_some() })
    }

    /// The prefix as it stands in `path`, without a slash at the end.
    pub fn prefix<'a>(&self, path: &'a str) -> &'a str {
        path.get(..self.prefix).expect("the prefix was measured in this path, at a slash")
    }
}

/// The prefix of a port, without a slash at the end.
pub fn app_prefix(project: &ProjectKey, id: &StudioId, port: u16) -> String {
    format!("/code-studios/{project}/{id}/{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(host: &str) -> Host {
        let origins =
            Origins { main_hosts: vec!["atelier.example.com".to_owned()], ..Origins::default() };
        Authority::parse(host).map_or(Host::Unknown, |authority| origins.classify(&authority))
    }

    #[test]
    fn hosts_are_told_apart() {
        for main in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "atelier.example.com",
        ] {
            assert_eq!(classify(main), Host::Main, "{main}");
        }
        let app = Host::App { id: "abcdefgh".parse().unwrap(), port: 8888 };
        assert_eq!(classify("8888--abcdefgh.localhost:1234"), app);
        assert_eq!(classify("8888--ABCDEFGH.LocalHost"), app);
        assert_eq!(classify("demo-lab.localhost"), Host::Alias("demo-lab".to_owned()));
        assert_eq!(
            classify("08888--abcdefgh.localhost"),
            Host::Alias("08888--abcdefgh".to_owned())
        );
        for unknown in [
            "",
            "evil.com",
            "localhost.evil.com",
            "evillocalhost",
            "a.b.localhost",
            ".localhost",
            "localhost.",
            "user@localhost",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "[x]",
            "a/b",
            "local host",
        ] {
            assert_eq!(classify(unknown), Host::Unknown, "{unknown}");
        }
    }

    #[test]
    fn prefixes_are_literal() {
        for (path, prefix) in [
            ("/code-studios/DEMO/abcdefgh/8888/lab/x", "/code-studios/DEMO/abcdefgh/8888"),
            ("/dip/code-studios/DEMO/abcdefgh/8888//", "/dip/code-studios/DEMO/abcdefgh/8888"),
            ("/code-studios/DEMO/abcdefgh/8888", "/code-studios/DEMO/abcdefgh/8888"),
        ] {
            let parsed = AppPath::parse(path).unwrap();
            assert_eq!((parsed.prefix(path), parsed.port), (prefix, Some(8888)), "{path}");
            assert_eq!(parsed.slash, path.len() > prefix.len());
        }
        assert_eq!(AppPath::parse("/code-studios/DEMO/abcdefgh/").unwrap().port, None);
        for path in [
            "/code-studios/demo/abcdefgh/8888/",
            "/code-studios//DEMO/abcdefgh/8888/",
            "/code-studios/DEMO/abcdefg/8888/",
            "/code-studios/DEMO/abcdefgh/0/",
            "/code-studios/DEMO/abcdefgh/08888/",
            "/code-studios/DEMO/abcdefgh/70000/",
            "/code-studios/DEMO/abcdefgh/8%38/",
            "/code-studios/DEMO/abcdefgh//8888/",
            "//code-studios/DEMO/abcdefgh/8888",
            "/dip/dip/code-studios/DEMO/abcdefgh/8888/",
            "/code-studios",
            "/code-studios/",
            "/code-studios/DEMO",
        ] {
            assert_eq!(AppPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn mistakes_in_names_are_found() {
        let checked = |change: fn(&mut Origins)| {
            let mut origins = Origins::default();
            change(&mut origins);
            origins.check()
        };
        assert_eq!(checked(|_| {}), Ok(()));
        assert_eq!(
            checked(|o| o.main_url = Some("https://atelier.example.com:8443".into())),
            Ok(())
        );
        assert!(checked(|o| o.domain = "Apps.example.com".into()).is_err());
        assert!(checked(|o| o.domain = "apps.example.com:80".into()).is_err());
        assert!(checked(|o| o.domain = String::new()).is_err());
        assert!(checked(|o| o.main_hosts.push("a/b".into())).is_err());
        for url in ["https://x/", "https://x:443", "x", "ftp://x", "https://", "https://X"] {
            let origins = Origins { main_url: Some(url.into()), ..Origins::default() };
            assert_eq!(origins.check(), Err(InvalidOrigins::MainUrl { url: url.into() }));
        }
        assert_eq!(checked(|o| o.shared_port = Some(1)), Err(InvalidOrigins::SharedWithoutMainUrl));
        assert!(checked(|o| o.login_path = "//evil".into()).is_err());
    }

    #[test]
    fn origins_leave_default_ports_out() {
        let origins = Origins::default();
        let from = Authority::parse("127.0.0.1:8080").unwrap();
        let id = "abcdefgh".parse().unwrap();
        let app = origins.app(Scheme::Http, &from, &id, 8888);
        assert_eq!(app.origin(Scheme::Http), "http://8888--abcdefgh.localhost:8080");
        assert_eq!(origins.main(Scheme::Http, &from), "http://localhost:8080");
        assert_eq!(Authority::parse("x:443").unwrap().origin(Scheme::Https), "https://x");
        assert_eq!(Authority::parse("[::1]:1").unwrap().origin(Scheme::Http), "http://[::1]:1");
    }
}
