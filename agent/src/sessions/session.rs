//! One session: what viewers, input and signals need to know of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use proto::agent::v1::{Exit, SessionInfo};
use tokio::sync::{Mutex, watch};

use super::registry::Wanted;
use crate::output::{Journal, Viewer};
use crate::sys::{AsyncPipe, Group, Size};

/// Names a session among those of one agent process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub(super) String);

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process and its output; kept after its end.
#[derive(Debug)]
pub(crate) struct Session {
    pub id: SessionId,
    pub(super) request_id: String,
    pub(super) command: Vec<String>,
    pub(super) action: Option<String>,
    pub(super) started_at_ms: i64,
    pub(super) journal: Arc<Journal>,
    /// Absent until it starts, and when it never does.
    pub(super) group: OnceLock<Group>,
    pub(super) terminal: OnceLock<Arc<AsyncPipe>>,
    /// What to start; taken when it does.
    pub(super) wanted: std::sync::Mutex<Option<Wanted>>,
    /// One writer at a time; `None` when closed.
    pub(super) stdin: Mutex<Option<Arc<AsyncPipe>>>,
    pub(super) exit: watch::Sender<Option<Exit>>,
    pub(super) cancelled: AtomicBool,
    pub(super) timed_out: AtomicBool,
}

impl Session {
    /// Output from an offset on.
    pub(crate) fn view(&self, from: u64) -> Viewer {
        self.journal.view(from)
    }

    /// `None` while it runs, or while its output is still being read.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Waits for the end. Cancel safe.
    pub(crate) async fn ended(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => Exit::default(),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.get().is_some()
    }

    /// Resizes the terminal; nothing for pipes. `redraw` makes a program draw itself anew even when the size stays.
    pub(crate) fn resize(&self, size: Size, redraw: bool) -> std::io::Result<()> {
        let Some(terminal) = self.terminal.get() else { return Ok(()) };
        if redraw {
            let rows = if size.rows > 1 { size.rows - 1 } else { 2 };
            Size { rows, ..size }.apply(terminal.as_ref())?;
        }
        size.apply(terminal.as_ref())
    }

    pub(crate) fn info(&self) -> SessionInfo {
        SessionInfo {
            session_id: self.id.0.clone(),
            request_id: self.request_id.clone(),
            command: self.command.clone(),
            terminal: self.is_terminal(),
            action: self.action.clone().unwrap_or_default(),
            started_at_ms: self.started_at_ms,
            exit: self.exit(),
            end_offset: self.journal.end(),
            viewers: self.journal.viewers(),
        }
    }

    /// What to start, once.
    pub(super) fn take_wanted(&self) -> Option<Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn mark(&self, exit: &mut Exit) {
        exit.timed_out = self.timed_out.load(Ordering::Acquire);
        exit.cancelled = self.cancelled.load(Ordering::Acquire);
    }
}
