//! Accepts agents' connections. What has not been admitted yet is bounded in number and in time.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{AgentHub, admission};

/// Of TCP and TLS together; admission has its own.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that have not been admitted yet, at most; others wait in the kernel's queue.
const PENDING: usize = 256;
/// After an error such as too many open files, which passes.
const AFTER_ERROR: Duration = Duration::from_millis(200);

pub(super) async fn run(hub: &Arc<AgentHub>, listener: TcpListener) {
    let acceptor = TlsAcceptor::from(Arc::clone(&hub.ca.server));
    let pending = Arc::new(Semaphore::new(PENDING));
    loop {
        let Ok(permit) = Arc::clone(&pending).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.closing.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an agent's connection can't be accepted");
                sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let (hub, acceptor) = (Arc::clone(hub), acceptor.clone());
        let tasks = hub.tasks.clone();
        tasks.spawn(async move {
            let closing = hub.closing.clone();
            let served = async {
                match handshake(stream, &acceptor).await {
                    Ok(stream) => admission::serve(&hub, stream, permit).await,
                    Err(error) => tracing::debug!(%peer, %error, "no TLS connection came about"),
                }
            };
            tokio::select! {
                () = served => {}
                () = closing.cancelled() => {}
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak HTTP/2"));
    }
    Ok(stream)
}
