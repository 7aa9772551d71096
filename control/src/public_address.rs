//! How people reach an instance: the address of its pages, and the domain below which its applications have an origin each.
//!
//! Without an address it is this machine alone. With one, something in front of us (an ingress, a load balancer) has that name and
//! ends TLS: what browsers see is what is said here, never what a request says of itself.

use crate::{
    domain::app_url::AppUrls,
    proxy::{
        InvalidOrigins, Origins, Scheme,
        origin::{Authority, LOOPBACK_DOMAIN},
    },
};

/// Where people and applications are served, as browsers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    scheme: Scheme,
    /// Of the pages.
    main: Authority,
    /// Applications are `<port>--<id>.<domain>`.
    domain: String,
    is_loopback: bool,
}

impl PublicAddress {
    /// This machine alone.
    pub fn loopback(port: u16) -> Self {
        let main = Authority { name: "localhost".to_owned(), port: Some(port) };
        Self { scheme: Scheme::Http, main, domain: LOOPBACK_DOMAIN.to_owned(), is_loopback: true }
    }

    /// `url` is `https://atelier.example.com[:port]`; without a `domain` of their own applications are below its host.
    ///
    /// # Errors
    /// If `url` is no such address, or `domain` no host name in lower case.
    pub fn new(url: &str, domain: Option<&str>) -> Result<Self, InvalidOrigins> {
        let no_url = || InvalidOrigins::MainUrl { url: url.to_owned() };
        let (scheme, rest) = [Scheme::Https, Scheme::Http]
            .into_iter()
            .find_map(|scheme| {
                Some((scheme, url.strip_prefix(scheme.as_str())?.strip_prefix("://")?))
            })
            .ok_or_else(no_url)?;
        let main = Authority::parse(rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(no_url)?;
        let domain = domain.map_or_else(|| main.name.clone(), str::to_owned);
        let address = Self { scheme, main, domain, is_loopback: false };
        address.origins().check()?;
        Ok(address)
    }

    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Of the pages; no slash at the end.
    pub fn url(&self) -> String {
        self.main.origin(self.scheme)
    }

    pub fn origins(&self) -> Origins {
        if self.is_loopback {
            return Origins::loopback();
        }
        Origins {
            domain: self.domain.clone(),
            main_hosts: vec![self.main.name.clone()],
            main_url: Some(self.url()),
            // Whatever port the request came to on its way.
            apps_port: Some(self.port()),
            ..Origins::default()
        }
    }

    pub fn app_urls(&self) -> AppUrls {
        AppUrls { scheme: self.scheme.to_string(), domain: self.domain_and_port() }
    }

    /// Applications' origins, as a source of a Content-Security-Policy.
    pub fn app_sources(&self) -> String {
        format!("{}://*.{}", self.scheme, self.domain_and_port())
    }

    /// The name that browsers go on by, where the pages have several: see [`Origins::loopback`].
    pub fn canonical(&self) -> Option<String> {
        self.is_loopback.then(|| format!("{}://{}", self.scheme, self.domain_and_port()))
    }

    fn port(&self) -> u16 {
        self.main.port.unwrap_or(self.scheme.default_port())
    }

    fn domain_and_port(&self) -> String {
        let domain = Authority { name: self.domain.clone(), port: Some(self.port()) };
        let origin = domain.origin(self.scheme);
        origin.split_once("://").map_or(origin.clone(), |(_, authority)| authority.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_named_so_that_pages_and_applications_are_one_site() {
        let address = PublicAddress::loopback(7070);
        assert_eq!(address.url(), "http://localhost:7070");
        assert_eq!(address.app_urls().domain, "atelier.localhost:7070");
        assert_eq!(address.canonical().as_deref(), Some("http://atelier.localhost:7070"));
    }

    #[test]
    fn a_name_in_front_is_believed_with_its_port_and_without() {
        let address = PublicAddress::new("https://atelier.example.com/", None).unwrap();
        assert_eq!(address.url(), "https://atelier.example.com");
        assert_eq!(address.app_sources(), "https://*.atelier.example.com");
        assert_eq!((address.canonical(), address.origins().apps_port), (None, Some(443)));
        let address = PublicAddress::new("http://a.example:8080", Some("apps.example")).unwrap();
        assert_eq!(address.app_urls().domain, "apps.example:8080");
        assert_eq!(address.origins().domain, "apps.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "atelier.example.com", "ftp://a", "https://", "https://a/b", "https://u@a"]
        {
            assert!(PublicAddress::new(url, None).is_err(), "{url}");
        }
        assert!(PublicAddress::new("https://a.example", Some("Apps.example")).is_err());
        assert!(PublicAddress::new("https://a.example", Some("apps.example:80")).is_err());
    }
}
