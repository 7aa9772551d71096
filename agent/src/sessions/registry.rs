//! All sessions of the agent.

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use proto::agent::v1::{Channel, Exit, SessionEnded, event::What, exit::How};
use thiserror::Error;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::task::TaskTracker;

use super::run::{Limits, Outputs, accompany};
use super::session::{Session, SessionId};
use crate::events::Events;
use crate::ids::random_id;
use crate::output::{Journal, PIPE_LIMIT_BYTES, Retention, TERMINAL_LIMIT_BYTES};
use crate::sys::{AsyncPipe, Group, Input, Program, Reaper, Spawned, Streams};

/// Sessions that may run at once.
const MOST_RUNNING: usize = 128;
/// Ended sessions that are kept; the one that ended first goes.
const MOST_ENDED: usize = 64;
/// An ended session is kept for this long unless acknowledged.
const KEEP_ENDED: Duration = Duration::from_mins(10);

/// A session to start.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub request_id: String,
    pub program: Program,
    pub input: Input,
    /// Standard input (of pipes) stays open; a terminal's always does.
    pub lossless: bool,
    pub timeout: Option<Duration>,
    pub detach_timeout: Option<Duration>,
    pub action: Option<String>,
}

/// Why no session was started.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("request_id must have 1 to 64 characters")]
    RequestId,
    #[error("{MOST_RUNNING} sessions run already")]
    TooMany,
    #[error("the studio is ending")]
    Draining,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reaper: Reaper,
    events: Events,
    tasks: TaskTracker,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of their start.
    sessions: Vec<Arc<Session>>,
    /// In the order of their end.
    ended: Vec<SessionId>,
    closed: bool,
}

impl Sessions {
    pub(crate) fn new(reaper: Reaper, events: Events, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { reaper, events, tasks, table: Mutex::default() }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a request id has started.
    pub(crate) fn by_request(&self, request_id: &str) -> Option<Arc<Session>> {
        self.table().sessions.iter().find(|session| session.request_id == request_id).cloned()
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.table().sessions.iter().find(|session| session.id == *id).cloned()
    }

    /// In the order of their start.
    pub(crate) fn list(&self) -> Vec<Arc<Session>> {
        self.table().sessions.clone()
    }

    /// Forgets an ended session; one that runs stays.
    pub(crate) fn acknowledge(&self, id: &SessionId) {
        let mut table = self.table();
        table.sessions.retain(|session| session.id != *id || session.exit().is_none());
        table.ended.retain(|ended| ended != id);
    }

    /// No further session starts.
    pub(crate) fn close(&self) {
        self.table().closed = true;
    }

    /// Starts a session, or answers with the one that this request id has started. A program that can't be started makes a
    /// session too: its exit says why.
    pub(crate) fn start(&self, wanted: Wanted) -> Result<Arc<Session>, StartError> {
        let session = self.reserve(wanted)?;
        self.begin(&session);
        Ok(session)
    }

    /// Makes a session that waits for [`Self::begin`], or answers with the one that this request id has made.
    pub(crate) fn reserve(&self, wanted: Wanted) -> Result<Arc<Session>, StartError> {
        if !(1..=64).contains(&wanted.request_id.chars().count()) {
            return Err(StartError::RequestId);
        }
        let mut table = self.table();
        if let Some(session) =
            table.sessions.iter().find(|session| session.request_id == wanted.request_id)
        {
            return Ok(session.clone());
        }
        if table.closed {
            return Err(StartError::Draining);
        }
        if table.sessions.len() - table.ended.len() >= MOST_RUNNING {
            return Err(StartError::TooMany);
        }
        let session = session(wanted);
        table.sessions.push(session.clone());
        Ok(session)
    }

    /// Starts a reserved session, unless it was cancelled. Call it once.
    pub(crate) fn begin(&self, session: &Arc<Session>) {
        let running = session.take_wanted().map(|wanted| {
            let limits = Limits { timeout: wanted.timeout, detach_timeout: wanted.detach_timeout };
            self.0.reaper.spawn(&wanted.program, wanted.input).map(
                |Spawned { group, streams, ended }| {
                    let (outputs, stdin) = session.connect(group, streams);
                    // Nobody else has had the session to lock it.
                    if let Ok(mut slot) = session.stdin.try_lock() {
                        *slot = stdin;
                    }
                    accompany(session.clone(), outputs, ended, limits)
                },
            )
        });
        let (this, session) = (self.clone(), session.clone());
        self.0.tasks.spawn(async move {
            let exit = match running {
                Some(Ok(running)) => running.await,
                // Cancelled before its turn.
                None => session.ended().await,
                Some(Err(error)) => {
                    let how = Some(How::NotStarted(error.to_string()));
                    Exit { how, ended_at_ms: crate::clock::wall_ms(), ..Exit::default() }
                }
            };
            this.end(&session, exit).await;
        });
    }

    async fn end(&self, session: &Arc<Session>, exit: Exit) {
        session.exit.send_replace(Some(exit.clone()));
        session.journal.close();
        self.note_end(session, exit);
        tokio::time::sleep(KEEP_ENDED).await;
        self.acknowledge(&session.id);
    }

    fn note_end(&self, session: &Arc<Session>, exit: Exit) {
        let mut table = self.table();
        table.ended.push(session.id.clone());
        if table.ended.len() > MOST_ENDED {
            let oldest = table.ended.remove(0);
            table.sessions.retain(|session| session.id != oldest);
        }
        drop(table);
        let ended = SessionEnded { session_id: session.id.0.clone(), exit: Some(exit) };
        self.0.events.push(What::SessionEnded(ended));
    }
}

impl Session {
    /// Takes over a started process's streams; returns its outputs and its input.
    fn connect(&self, group: Group, streams: Streams) -> (Outputs, Option<Arc<AsyncPipe>>) {
        // A session starts once, so these are empty.
        self.group.set(group).ok();
        match streams {
            Streams::Pipes { stdin, stdout, stderr } => {
                let outputs =
                    vec![(Arc::new(stdout), Channel::Stdout), (Arc::new(stderr), Channel::Stderr)];
                (outputs, stdin.map(Arc::new))
            }
            Streams::Terminal { master } => {
                let master = Arc::new(master);
                self.terminal.set(master.clone()).ok();
                (vec![(master.clone(), Channel::Pty)], Some(master))
            }
        }
    }
}

fn session(wanted: Wanted) -> Arc<Session> {
    let retention = match (wanted.lossless, wanted.input) {
        (true, _) => Retention::Lossless,
        (false, Input::Terminal(_)) => Retention::Newest { limit_bytes: TERMINAL_LIMIT_BYTES },
        (false, Input::Nothing | Input::Pipe) => {
            Retention::Newest { limit_bytes: PIPE_LIMIT_BYTES }
        }
    };
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    Arc::new(Session {
        id: SessionId(random_id()),
        request_id: wanted.request_id.clone(),
        command: wanted.program.command.iter().map(text).collect(),
        action: wanted.action.clone(),
        started_at_ms: crate::clock::wall_ms(),
        journal: Journal::new(retention),
        group: OnceLock::new(),
        terminal: OnceLock::new(),
        wanted: Mutex::new(Some(wanted)),
        stdin: AsyncMutex::new(None),
        exit: watch::Sender::new(None),
        cancelled: AtomicBool::new(false),
        timed_out: AtomicBool::new(false),
    })
}
