//! `WebSocket`s and other upgraded connections: two byte streams, joined after the application has said 101, and not before.
//!
//! A request that asks to upgrade gets a connection of its own, which is never kept, whatever comes of it. HTTP/2 clients ask by extended
//! CONNECT (RFC 8441); the application sees the HTTP/1.1 form.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use data_encoding::BASE64;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body::Body;
use hyper::{
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::PortActivity;

/// A client's wish to leave HTTP.
pub(super) struct Wish {
    client: OnUpgrade,
    protocol: HeaderValue,
    /// Asked by extended CONNECT.
    http2: bool,
}

/// Whether a request asks for an upgrade that is passed on: HTTP itself (`h2c`) and TLS are not, since what runs inside them would
/// escape every rule that holds for requests here.
pub(super) fn is_wanted<B: Body>(request: &Request<B>) -> bool {
    if request.version() == Version::HTTP_2 {
        return request.method() == Method::CONNECT
            && request.extensions().get::<Protocol>().is_some();
    }
    let headers = request.headers();
    let asked = headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|&b| b == b',')
            .any(|t| t.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return false };
    let name = protocol.as_bytes().to_ascii_lowercase();
    let refused = name.is_empty()
        || name.contains(&b',')
        || [&b"h2c"[..], b"http", b"tls"].iter().any(|p| name.starts_with(p));
    asked && !refused && request.version() == Version::HTTP_11 && request.body().is_end_stream()
}

impl Wish {
    /// Takes the wish out of a request for which `is_wanted` holds.
    pub(super) fn take<B>(request: &mut Request<B>) -> Option<Self> {
        let http2 = request.version() == Version::HTTP_2;
        let protocol = if http2 {
            let protocol = request.extensions().get::<Protocol>()?;
            HeaderValue::from_str(protocol.as_str()).ok()?
        } else {
            request.headers().get(UPGRADE)?.clone()
        };
        Some(Self { client: hyper::upgrade::on(request), protocol, http2 })
    }

    /// Puts the wish into the headers for the application.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
        if self.http2 {
            // Only HTTP/1.1 has the key; any fresh one does.
            let key = BASE64.encode(&rand::random::<[u8; 16]>());
            let key = HeaderValue::from_str(&key).expect("base64 is visible ASCII");
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }

    /// Whether the application's answer grants it.
    pub(super) fn is_granted<B>(&self, response: &Response<B>) -> bool {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && response
                .headers()
                .get(UPGRADE)
                .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes()))
    }

    /// Puts the grant into an answer's status and headers for the client.
    pub(super) fn confirm(&self, status: &mut StatusCode, headers: &mut HeaderMap) {
        headers.remove(CONTENT_LENGTH);
        if self.http2 {
            *status = StatusCode::OK;
            headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, self.protocol.clone());
        }
    }

    /// Joins client and application until either ends.
    pub(super) async fn join(self, application: OnUpgrade, activity: Arc<PortActivity>) {
        let (client, application) = match tokio::try_join!(self.client, application) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "an upgrade was confirmed, but did not happen");
                return;
            }
        };
        let mut client = Counted { io: TokioIo::new(client), activity };
        let mut application = TokioIo::new(application);
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut application).await {
            tracing::debug!(%error, "an upgraded connection broke");
        }
    }
}

/// The client's side of a tunnel: what is read goes up, what is written goes down.
struct Counted {
    io: TokioIo<Upgraded>,
    activity: Arc<PortActivity>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.activity.up(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.activity.down(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    fn wanted(connection: &str, upgrade: &str) -> bool {
        let request = Request::builder().header(CONNECTION, connection).header(UPGRADE, upgrade);
        is_wanted(&request.body(Empty::<bytes::Bytes>::new()).unwrap())
    }

    #[test]
    fn http_inside_http_is_no_upgrade() {
        assert!(wanted("keep-alive, Upgrade", "WebSocket"));
        assert!(wanted("upgrade", "my-protocol/1"));
        for protocol in ["h2c", "H2C", "HTTP/2.0", "TLS/1.0", "websocket, h2c", ""] {
            assert!(!wanted("Upgrade", protocol), "{protocol}");
        }
        assert!(!wanted("keep-alive", "websocket"));
        let with_body =
            Request::builder().header(CONNECTION, "upgrade").header(UPGRADE, "websocket");
        assert!(!is_wanted(&with_body.body(Full::new(bytes::Bytes::from("GET /"))).unwrap()));
    }
}
