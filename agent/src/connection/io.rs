//! The byte stream under a served connection.
//!
//! tonic serves a connection in a task of its own and tells nobody when it is over: so this wrapper reports its own drop,
//! and can be made to fail.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

pub(super) struct Watched<T> {
    stream: T,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Its drop tells.
    _gone: oneshot::Sender<std::convert::Infallible>,
}

impl<T> Watched<T> {
    /// `close` makes reads fail; the receiver ends when the connection is gone.
    pub(super) fn new(
        stream: T,
        close: CancellationToken,
    ) -> (Self, oneshot::Receiver<std::convert::Infallible>) {
        let (gone, told) = oneshot::channel();
        (Self { stream, closed: Box::pin(close.cancelled_owned()), _gone: gone }, told)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<T> Connected for Watched<T> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
