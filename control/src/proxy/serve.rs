//! Listeners: connections in, requests to the proxy or to the control plane's own router, an orderly end.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::extract::ConnectInfo;
use http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::{
    Handled, Proxy,
    body::ProxyBody,
    guard::{Guarded, Verdict},
    headers::FORWARDED_PROTO,
    via::{Role, Scheme, Via},
    waiting::Answer,
};

/// Connections of one listener at the same time.
const MAX_CONNECTIONS: usize = 16_384;
/// Limit for a request's head, and for a kept connection without requests.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long requests may go on after the listener was told to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Rest after the system refused a connection, for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What a listener is.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// As browsers see it, where something before us ends TLS.
    pub scheme: Scheme,
    pub role: Role,
}

/// Runs hyper's tasks (one a stream of HTTP/2) where they are waited for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves until `shutdown`, then lets requests end (10 s at most). Upgraded connections are the proxy's own and end with its token.
pub async fn serve_listener(
    listener: TcpListener,
    proxy: Proxy,
    router: axum::Router,
    listening: Listening,
    shutdown: CancellationToken,
) {
    let tracker = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let Some((place, accepted)) = shutdown.run_until_cancelled(next).await else { break };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        prepare(&stream);
        let via = Via { peer, scheme: listening.scheme, role: listening.role };
        let (proxy, router) = (proxy.clone(), router.clone());
        let (shutdown, streams) = (shutdown.clone(), tracker.clone());
        tracker.spawn(async move {
            serve_connection(stream, proxy, router, via, streams, shutdown).await;
            drop(place);
        });
    }
    tracker.close();
    if tokio::time::timeout(DRAIN + Duration::from_secs(1), tracker.wait()).await.is_err() {
        tracing::warn!(left = tracker.len(), "connections were left open at the end");
    }
}

/// A peer that vanished without a word is noticed by TCP itself, in `WebSocket`s too.
fn prepare(stream: &TcpStream) {
    let set = stream.set_nodelay(true).and_then(|()| {
        rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(stream, Duration::from_mins(1))?;
        Ok(())
    });
    if let Err(error) = set {
        tracing::debug!(%error, "a connection's options could not be set");
    }
}

/// Serves one connection, HTTP/1.1 or HTTP/2 by its first bytes. `streams` gets the tasks of HTTP/2.
pub async fn serve_connection<T>(
    io: T,
    proxy: Proxy,
    router: axum::Router,
    via: Via,
    streams: TaskTracker,
    shutdown: CancellationToken,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (io, verdict) = Guarded::new(io);
    let service = service_fn(move |request| {
        let (proxy, router, verdict) = (proxy.clone(), router.clone(), verdict.clone());
        async move { Ok::<_, Infallible>(respond(request, proxy, router, via, &verdict).await) }
    });
    let mut builder = Builder::new(Tracked(streams));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).expect("64 KiB fit"))
        .max_concurrent_streams(256)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .enable_connect_protocol();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(DRAIN, connection).await.ok()
        }
    };
    if let Some(Err(error)) = ended {
        tracing::debug!(peer = %via.peer, error, "a connection ended early");
    }
}

async fn respond(
    request: Request<Incoming>,
    proxy: Proxy,
    router: axum::Router,
    via: Via,
    verdict: &Verdict,
) -> Response<ProxyBody> {
    if verdict.two_lengths() {
        let answer = Answer::new(
            StatusCode::BAD_REQUEST,
            "two-lengths",
            "Bad request",
            "A request has both Content-Length and Transfer-Encoding.",
        );
        let mut response = answer.response(request.headers());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let response = match proxy.handle(request, via).await {
        Handled::Done(response) => response,
        Handled::NotMine(request) => own(request, router, via).await,
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        verdict.look_away();
    }
    response
}

/// The control plane's own pages and API.
async fn own(request: Request<Incoming>, router: axum::Router, via: Via) -> Response<ProxyBody> {
    let mut request = request.map(axum::body::Body::new);
    // A fact of the listener: what a request says of it is not asked.
    let scheme = HeaderValue::from_static(via.scheme.as_str());
    request.headers_mut().insert(FORWARDED_PROTO, scheme);
    request.extensions_mut().insert(ConnectInfo(via.peer));
    match router.oneshot(request).await {
        Ok(response) => response.map(ProxyBody::from),
        Err(never) => match never {},
    }
}
