//! A gRPC channel over a byte stream that the agent has dialled.
//!
//! The stream is handed out once: after its loss every call fails at once, and the agent dials anew.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::{Channel, Endpoint};

/// More than all streams can hold together: else one that is not read would stall every call on the connection.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;
/// Enough for bulk transfers at wide-area latencies. What a connection is for is known only after its windows are set.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A connection with its end.
pub(super) struct Connection {
    pub channel: Channel,
    /// Makes it fail, for both sides.
    pub close: CancellationToken,
    gone: oneshot::Receiver<Infallible>,
}

impl Connection {
    /// Speaks HTTP/2 on the stream.
    pub(super) async fn over<T>(stream: T) -> Result<Self, tonic::transport::Error>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (alive, gone) = oneshot::channel();
        let close = CancellationToken::new();
        let closed = Box::pin(close.clone().cancelled_owned());
        let io = Watched { inner: stream, closed, _alive: alive };
        let slot = Arc::new(Mutex::new(Some(io)));
        let connector = tower::service_fn(move |_: http::Uri| {
            let io = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move {
                io.map(TokioIo::new)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the agent is gone"))
            }
        });
        let channel = Endpoint::from_static("http://agent")
            .http2_adaptive_window(false)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await?;
        Ok(Self { channel, close, gone })
    }

    /// Waits until the connection is gone. Cancel safe.
    pub(super) async fn gone(&mut self) {
        // The sender never sends: its drop is the signal.
        drop((&mut self.gone).await);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

/// Tells of its drop, the only sign of a connection's loss that the transport gives; and can be made to fail.
struct Watched<T> {
    inner: T,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _alive: oneshot::Sender<Infallible>,
}

impl<T> Watched<T> {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was closed",
            ));
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
