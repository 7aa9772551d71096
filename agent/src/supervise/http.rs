//! The HTTP probe: one GET, its status, nothing of its body.

use std::net::{IpAddr, SocketAddr};

use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use proto::agent::v1::HttpProbe;
use tokio::net::TcpStream;

/// What to ask, and which answers are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpCheck {
    /// Always the studio's own address, whatever host the URL names: a probe is no way to reach others.
    address: SocketAddr,
    host: String,
    target: String,
    status: std::ops::RangeInclusive<u16>,
}

impl HttpCheck {
    /// Fails with the reason when the URL is none.
    pub(super) fn new(probe: &HttpProbe, ip: IpAddr, port: u16) -> Result<Self, String> {
        let url = probe.url.replace("${baseUrl}", probe.base_url.trim_end_matches('/'));
        let uri: Uri = if url.is_empty() { "/".parse() } else { url.parse() }
            .map_err(|error| format!("{url:?} is no URL: {error}"))?;
        if uri.scheme().is_some_and(|scheme| *scheme != http::uri::Scheme::HTTP) {
            return Err(format!("{url:?} must begin with http://"));
        }
        if uri.scheme().is_none() && !url.starts_with('/') && !url.is_empty() {
            return Err(format!("{url:?} must be a path or begin with http://"));
        }
        let port = uri.port_u16().unwrap_or(port);
        let host = uri
            .authority()
            .map_or_else(|| SocketAddr::new(ip, port).to_string(), ToString::to_string);
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let bound = |status: u32, default| {
            if status == 0 { default } else { u16::try_from(status).unwrap_or(u16::MAX) }
        };
        let status = bound(probe.status_from, 200)..=bound(probe.status_to, 399);
        Ok(Self { address: SocketAddr::new(ip, port), host, target, status })
    }

    /// Fails with what was wrong, for people.
    pub(super) async fn check(&self) -> Result<(), String> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| format!("{}: {error}", self.address))?;
        let failed = |error: hyper::Error| format!("GET {}: {error}", self.target);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let request = Request::get(&self.target)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, "atelier-agent")
            .header(header::CONNECTION, "close")
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|error| format!("GET {}: {error}", self.target))?;
        tokio::pin!(connection);
        let response = tokio::select! {
            response = sender.send_request(request) => response,
            Err(error) = &mut connection => Err(error),
        };
        let status = response.map_err(failed)?.status();
        if self.status.contains(&status.as_u16()) {
            Ok(())
        } else {
            Err(format!("GET {} answered {status}", self.target))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, base_url: &str) -> Result<HttpCheck, String> {
        let probe =
            HttpProbe { url: url.into(), base_url: base_url.into(), ..HttpProbe::default() };
        HttpCheck::new(&probe, "127.0.0.5".parse().unwrap(), 8_888)
    }

    #[test]
    fn base_url_is_put_in_and_the_address_stays_ours() {
        let one = check("${baseUrl}/api?x=1", "/code-studios/P/abcdefgh/8888").unwrap();
        assert_eq!(one.target, "/code-studios/P/abcdefgh/8888/api?x=1");
        assert_eq!(one.address.to_string(), "127.0.0.5:8888");
        let other = check("http://example.org:9/x", "").unwrap();
        assert_eq!(
            (other.address.to_string().as_str(), other.host.as_str()),
            ("127.0.0.5:9", "example.org:9")
        );
        assert_eq!(check("", "").unwrap().target, "/");
        assert!(check("https://x/", "").unwrap_err().contains("http://"));
        assert!(check("no path", "").is_err());
        assert!(check("host:80", "").is_err());
    }
}
