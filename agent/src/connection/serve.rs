//! Serves the gRPC services on one byte stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::gate::{Gate, Kind};
use super::io::Watched;
use crate::agent::Agent;
use crate::services;

/// More than all streams can hold together: with a smaller one, a reader that stalls would stall every other call.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;
const KEEPALIVE: Duration = Duration::from_secs(10);
const FRAME_BYTES: u32 = 64 << 10;

/// A connection that is being served. It lives until the peer goes, or until [`Self::close`].
pub(crate) struct ServedOn {
    pub gate: Gate,
    close: CancellationToken,
    gone: oneshot::Receiver<Infallible>,
}

impl ServedOn {
    /// Waits until the connection is gone. Cancel safe.
    pub(crate) async fn gone(&mut self) {
        // The sender never sends: its drop is the signal.
        drop((&mut self.gone).await);
    }

    /// Makes the connection fail, for both sides.
    pub(super) fn close(&self) {
        self.close.cancel();
    }
}

impl Drop for ServedOn {
    fn drop(&mut self) {
        self.close();
    }
}

/// Begins to serve. The connection ends with what is returned.
pub(crate) fn serve_on<T>(agent: &Arc<Agent>, stream: T, kind: Kind) -> ServedOn
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = Gate::new(kind);
    let close = CancellationToken::new();
    let (io, gone) = Watched::new(stream, close.clone());
    let (stream_window, most_streams) = match kind {
        Kind::Control | Kind::Local => (1 << 20, 256),
        Kind::Bulk => (4 << 20, 32),
    };
    let server = Server::builder()
        .http2_adaptive_window(Some(false))
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(stream_window)
        .max_concurrent_streams(most_streams)
        .max_frame_size(FRAME_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .layer(gate.clone());
    let router = services::add_to(server, agent, kind);
    // A stream of one connection that never ends: when it ended, the server would say goodbye to that connection.
    let incoming =
        stream::once(async move { Ok::<_, std::io::Error>(io) }).chain(stream::pending());
    let closed = close.clone();
    agent.tasks.spawn(async move {
        tokio::select! {
            served = router.serve_with_incoming(incoming) => {
                if let Err(error) = served {
                    tracing::debug!(%error, "serving ended");
                }
            }
            () = closed.cancelled() => {}
        }
    });
    ServedOn { gate, close, gone }
}
