//! TCP to a port of a studio, over its agent.

use std::{io, time::Duration};

use bytes::BytesMut;
use futures_util::{StreamExt as _, future::ready};
use proto::agent::v1::{TunnelData, tunnel_client::TunnelClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::{AgentHub, client};
use crate::domain::ids::StudioId;

/// Until the port has accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const BUFFER: usize = proto::FRAME_BYTES;

pub(super) async fn open(hub: &AgentHub, studio: &StudioId, port: u16) -> io::Result<DuplexStream> {
    let channel = hub
        .bulk(studio)
        .await
        .map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))?;
    let mut tunnel = client!(TunnelClient<_>, channel);
    let (send, receive) = mpsc::channel::<TunnelData>(4);
    let first = TunnelData { port: u32::from(port), data: bytes::Bytes::new() };
    let requests = futures_util::stream::once(ready(first)).chain(ReceiverStream::new(receive));
    let incoming = match timeout(CONNECT_TIMEOUT, tunnel.open(requests)).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => {
            let kind = match status.code() {
                Code::PermissionDenied => io::ErrorKind::PermissionDenied,
                Code::Unavailable => io::ErrorKind::ConnectionRefused,
                _ => io::ErrorKind::NotConnected,
            };
            return Err(io::Error::new(kind, status));
        }
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let closing = hub.closing.clone();
    hub.tasks.spawn(async move {
        tokio::select! {
            () = pump(ours, send, incoming) => {}
            () = closing.cancelled() => {}
        }
    });
    Ok(theirs)
}

/// Both halves, until both have ended or one has failed; a failure ends the other half too.
async fn pump(ours: DuplexStream, send: mpsc::Sender<TunnelData>, incoming: Streaming<TunnelData>) {
    let (mut read, mut write) = tokio::io::split(ours);
    let mut incoming = incoming;
    let up = async move {
        loop {
            let mut buffer = BytesMut::with_capacity(BUFFER / 2);
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok::<_, io::Error>(());
            }
            let data = TunnelData { port: 0, data: buffer.freeze() };
            if send.send(data).await.is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    };
    let down = async move {
        loop {
            match incoming.message().await {
                Ok(Some(more)) => write.write_all(&more.data).await?,
                Ok(None) => return write.shutdown().await,
                Err(status) => return Err(io::Error::other(status)),
            }
        }
    };
    if let Err(error) = tokio::try_join!(up, down) {
        tracing::trace!(%error, "a tunnel broke");
    }
}
