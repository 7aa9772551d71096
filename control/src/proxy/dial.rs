//! Connections to applications: plain TCP, or a tunnel through the studio's agent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::routes::Upstream;
use crate::domain::ids::StudioId;

/// A byte stream through an agent.
pub trait TunnelIo: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> TunnelIo for T {}

/// Opens byte streams to a port inside a studio, through its agent.
#[async_trait]
pub trait TunnelDialer: Send + Sync + 'static {
    /// Returns once the port has accepted. `ConnectionRefused`: nobody listens there; `NotConnected`: the agent is away.
    /// Cancel safe: dropping the future gives the tunnel up.
    async fn dial(&self, studio: &StudioId, port: u16) -> io::Result<Box<dyn TunnelIo>>;
}

/// For instances without tunnels.
#[derive(Debug, Clone, Copy)]
pub struct NoTunnels;

#[async_trait]
impl TunnelDialer for NoTunnels {
    async fn dial(&self, _: &StudioId, _: u16) -> io::Result<Box<dyn TunnelIo>> {
        Err(io::Error::new(io::ErrorKind::NotConnected, "this instance has no tunnels"))
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("nobody listens on the port")]
    NobodyListens,
    #[error("the studio could not be reached in time")]
    TimedOut,
    #[error("there are too many connections to this port")]
    TooMany,
    #[error("the studio can't be reached")]
    Unreachable(#[source] io::Error),
}

/// Either kind of connection.
pub(super) enum UpstreamIo {
    Tcp(TcpStream),
    Tunnel(Box<dyn TunnelIo>),
}

/// Connects. The time limit is for connecting alone; an application may take as long as it likes to answer.
pub(super) async fn dial(
    tunnels: &dyn TunnelDialer,
    studio: &StudioId,
    port: u16,
    upstream: Upstream,
    limit: Duration,
) -> Result<UpstreamIo, DialError> {
    let connecting = async {
        Ok::<_, io::Error>(match upstream {
            Upstream::Direct(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                UpstreamIo::Tcp(stream)
            }
            Upstream::Tunnel => UpstreamIo::Tunnel(tunnels.dial(studio, port).await?),
        })
    };
    match tokio::time::timeout(limit, connecting).await {
        Err(_) => Err(DialError::TimedOut),
        Ok(Ok(io)) => Ok(io),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::NobodyListens)
        }
        Ok(Err(error)) => Err(DialError::Unreachable(error)),
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tunnel(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tunnel(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tunnel(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Tunnel(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tunnel(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tunnel(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
