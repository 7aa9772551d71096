//! Input, signals and the ways to end a session.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use proto::agent::v1::{Exit, exit::How};
use tokio::time::{Instant, sleep};

use super::Session;

/// How often a dying session is looked at; `/proc` has no event for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Control-D: ends the input of a terminal in line mode.
const END_OF_INPUT: &[u8] = &[4];

impl Session {
    /// Writes to standard input or the terminal, after all that was written before. `BrokenPipe` when it is closed.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.lock().await;
        let mut exit = self.exit.subscribe();
        let pipe = stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        tokio::select! {
            written = pipe.write_all(bytes) => written,
            // A full pipe that nobody will read any more.
            _ = exit.wait_for(Option::is_some) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Closes standard input. Idempotent.
    pub(crate) async fn end_input(&self) -> io::Result<()> {
        let mut stdin = self.stdin.lock().await;
        match stdin.take() {
            Some(pipe) if self.is_terminal() => {
                let written = pipe.write_all(END_OF_INPUT).await;
                *stdin = Some(pipe);
                written
            }
            _ => Ok(()),
        }
    }

    /// Signals the process group. Whether anybody was there.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.group.get().is_some_and(|group| group.signal(signal))
    }

    /// Ends the session by request: see [`Self::end`].
    pub(crate) async fn cancel(&self, grace: Duration) {
        if self.exit().is_none() {
            self.cancelled.store(true, Ordering::Release);
        }
        if self.take_wanted().is_some() {
            let how = Some(How::NotStarted("cancelled while it waited for its turn".to_owned()));
            let exit = Exit {
                how,
                cancelled: true,
                ended_at_ms: crate::clock::wall_ms(),
                ..Exit::default()
            };
            self.exit.send_replace(Some(exit));
            self.journal.close();
            return;
        }
        self.end(Signal::SIGTERM, grace).await;
    }

    /// Signals every process of the session, waits for them, and kills what is left after the grace.
    pub(super) async fn end(&self, signal: Signal, grace: Duration) {
        let Some(group) = self.group.get() else { return };
        let deadline = Instant::now() + grace;
        group.signal_session(signal);
        // A stopped process would hear nothing but KILL.
        group.signal_session(Signal::SIGCONT);
        while group.alive() {
            if Instant::now() >= deadline {
                group.signal_session(Signal::SIGKILL);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
