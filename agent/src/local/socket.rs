//! The socket's two ends.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

use crate::agent::Agent;
use crate::connection::{Kind, serve_on};

const NAME: &str = "agent.sock";

/// The socket's path through a descriptor of its folder: a socket's path is at most 107 bytes long, a folder's is not.
fn short_path(state_dir: &Path) -> io::Result<(rustix::fd::OwnedFd, PathBuf)> {
    let folder = rustix::fs::open(
        state_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok((folder, path))
}

/// Serves whoever connects, for ever.
pub(crate) async fn serve(agent: Arc<Agent>) -> io::Result<Infallible> {
    let listener = bind(&agent.config.state_dir)?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, for example: that passes.
                tracing::warn!(%error, "the local socket does not accept");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        if !may_connect(&stream) {
            continue;
        }
        let mut served = serve_on(&agent, stream, Kind::Local);
        agent.tasks.spawn(async move { served.gone().await });
    }
}

fn bind(state_dir: &Path) -> io::Result<UnixListener> {
    let (_folder, path) = short_path(state_dir)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // From its first moment on, nobody else may open it.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(&path);
    rustix::process::umask(before);
    bound
}

fn may_connect(stream: &UnixStream) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}

/// The other end: a stream to the agent that runs with this state folder.
pub(crate) async fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let (_folder, path) = short_path(state_dir)?;
    UnixStream::connect(path).await
}
