//! The task that accompanies a session from its start to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use proto::agent::v1::{Channel, Exit, exit::How};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Session;
use crate::output::pump;
use crate::sys::{AsyncPipe, Ended};

/// From the first signal of a time-out or a hang-up to KILL.
const END_GRACE: Duration = Duration::from_secs(5);
/// How long the output of an ended lossless session waits for somebody to read it.
const UNREAD_LIMIT: Duration = Duration::from_mins(10);

/// What bounds a session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) detach_timeout: Option<Duration>,
}

/// Output pipes with their channels.
pub(super) type Outputs = Vec<(Arc<AsyncPipe>, Channel)>;

/// Returns how the session ended, once its output is complete in the journal.
pub(super) async fn accompany(
    session: Arc<Session>,
    outputs: Outputs,
    exit: oneshot::Receiver<Ended>,
    limits: Limits,
) -> Exit {
    let (tell_ended, ended) = watch::channel(false);
    let mut pumps = JoinSet::new();
    for (pipe, channel) in outputs {
        pumps.spawn(pump(pipe, channel, 0, session.journal.clone(), ended.clone()));
    }
    let how = tokio::select! {
        how = exit => how,
        never = enforce(&session, limits) => match never {},
    };
    let ended_at_ms = crate::clock::wall_ms();
    tell_ended.send_replace(true);
    let mut complete = true;
    let drained = async {
        while let Some(joined) = pumps.join_next().await {
            complete &= joined.unwrap_or(false);
        }
    };
    if tokio::time::timeout(UNREAD_LIMIT, drained).await.is_err() {
        complete = false;
    }
    let how = match how {
        Ok(Ended::Code(code)) => How::Code(code),
        Ok(Ended::Signal(signal)) => How::Signal(signal),
        // The reaper keeps every sender until the status has come.
        Err(_) => How::NotStarted("the process was lost".to_owned()),
    };
    let mut exit =
        Exit { how: Some(how), pipes_left_open: !complete, ended_at_ms, ..Exit::default() };
    session.mark(&mut exit);
    exit
}

/// Ends the session when its time is over, or when nobody has watched it for too long. Never returns: the process's exit ends it.
async fn enforce(session: &Session, limits: Limits) -> std::convert::Infallible {
    let time_is_over = async {
        match limits.timeout {
            Some(timeout) => sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let abandoned = async {
        match limits.detach_timeout {
            Some(timeout) => until_abandoned(session, timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time_is_over => {
            session.timed_out.store(true, Ordering::Release);
            session.end(Signal::SIGTERM, END_GRACE).await;
        }
        () = abandoned => {
            session.end(Signal::SIGHUP, END_GRACE).await;
        }
    }
    std::future::pending().await
}

/// Returns when there has been no viewer for `timeout`.
async fn until_abandoned(session: &Session, timeout: Duration) {
    let mut changed = session.journal.watch();
    let mut since = Instant::now();
    loop {
        if session.journal.viewers() > 0 {
            since = Instant::now();
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            () = sleep_until(since + timeout) => return,
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}
