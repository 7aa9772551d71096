//! The one owner of `waitpid(-1)`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::spawn::prepare;
use super::{Group, Input, Program, SpawnError, Streams};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub group: Group,
    pub streams: Streams,
    /// Comes once, when the process has been reaped.
    pub ended: oneshot::Receiver<Ended>,
}

/// Starts and reaps. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaper(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    running: Mutex<HashMap<i32, Child>>,
    orphans: AtomicU64,
}

#[derive(Debug)]
struct Child {
    group: Group,
    tell: oneshot::Sender<Ended>,
}

impl Reaper {
    /// Starts a process as leader of its own session and group.
    pub(crate) fn spawn(&self, program: &Program, input: Input) -> Result<Spawned, SpawnError> {
        let (mut command, streams) = prepare(program, input)?;
        let (tell, ended) = oneshot::channel();
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: neither can the status be taken before the process is registered, nor can the reaper take the
        // status that the standard library waits for itself when the program can't be executed.
        let child = command.spawn().map_err(|source| SpawnError::Program {
            program: program.command.first().cloned().unwrap_or_default(),
            source,
        })?;
        let pid = i32::try_from(child.id()).expect("process ids are positive i32");
        let group = Group::led_by(pid);
        running.insert(pid, Child { group: group.clone(), tell });
        Ok(Spawned { group, streams, ended })
    }

    /// Takes every status there is. Returns whether children are left.
    pub(crate) fn reap(&self) -> bool {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (pid, ended) = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) => return true,
                // Stops and continues are not asked for.
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => {
                    if error != Errno::ECHILD {
                        tracing::error!(%error, "waitpid failed");
                    }
                    return false;
                }
            };
            if let Some(child) = running.remove(&pid.as_raw()) {
                child.group.leader_reaped();
                // Nobody listens when the session's task is gone: then nobody wants the status.
                child.tell.send(ended).ok();
            } else {
                self.0.orphans.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Reaps on every SIGCHLD, for ever.
    pub(crate) async fn run(self) -> std::io::Result<std::convert::Infallible> {
        let mut children = signal(SignalKind::child())?;
        loop {
            self.reap();
            // Signals coalesce, which is why one takes all; after a lost stream the loop would spin, so it must not end.
            if children.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Processes reaped that we did not start: orphans of the studio's processes.
    pub(crate) fn orphans(&self) -> u64 {
        self.0.orphans.load(Ordering::Relaxed)
    }
}
