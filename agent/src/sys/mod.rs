//! The system edge: processes, terminals, descriptors. The only module with `unsafe`.
//!
//! Invariants:
//! * Exactly one owner of `waitpid(-1)`: [`Reaper`]. Nobody calls `Child::wait`.
//! * Exactly one place that starts processes: [`Reaper::spawn`], under the same lock as reaping, so that no exit status
//!   can arrive before its process is registered.
//! * Every child leads a session and a process group of its own, so that it can be ended as a whole.

mod fd;
mod group;
mod procfs;
mod pty;
mod reaper;
mod spawn;

pub(crate) use fd::AsyncPipe;
pub(crate) use group::Group;
pub(crate) use procfs::{children, port_holder};
pub(crate) use pty::{Pty, Size};
pub(crate) use reaper::{Ended, Reaper, Spawned};
pub(crate) use spawn::{Input, Program, SpawnError, Streams};

/// Makes orphans of the studio's processes ours, as they are anyway for process 1.
pub(crate) fn become_subreaper() {
    if std::process::id() != 1
        && let Err(error) = nix::sys::prctl::set_child_subreaper(true)
    {
        tracing::warn!(%error, "orphaned processes will not be reaped by the agent");
    }
}

/// Signals every child of ours, orphans that became ours included. Whether there was one.
pub(crate) fn signal_children(signal: nix::sys::signal::Signal) -> bool {
    let children = children();
    for child in &children {
        // It may have ended meanwhile; its number is not reused before we reap it.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*child), signal).ok();
    }
    !children.is_empty()
}

/// Asks the kernel to end the agent last when memory runs out. Needs a capability that many containers lack.
pub(crate) fn prefer_to_live() {
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "-900") {
        tracing::debug!(%error, "the agent keeps its OOM score");
    }
}
