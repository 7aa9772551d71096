//! Which runs of an action go now, later, or not at all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::agent::v1::{Action, ActionConcurrency, ActionInput, RunActionRequest};
use thiserror::Error;
use tokio_util::task::TaskTracker;

use super::program;
use crate::launch::{Launch, Plan};
use crate::sessions::{Session, Sessions, StartError, Wanted};
use crate::sys::Input;

/// Runs of one action that may wait.
const MOST_QUEUED: usize = 32;

#[derive(Debug, Error)]
pub(crate) enum ActionError {
    #[error("no manifest has been launched yet")]
    NoManifest,
    #[error("there is no action {id:?}")]
    Unknown { id: String },
    #[error("the action runs already (session {session})")]
    Runs { session: String },
    #[error("{MOST_QUEUED} runs of the action wait already")]
    QueueFull,
    #[error("input {name:?} has a name or value that no variable can have")]
    Input { name: String },
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A run that has been taken on.
#[derive(Debug)]
pub(crate) struct Started {
    pub session: Arc<Session>,
    /// 0: runs now.
    pub queued_behind: u32,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Actions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sessions: Sessions,
    launch: Launch,
    tasks: TaskTracker,
    lanes: Mutex<HashMap<String, Lane>>,
}

/// Runs of one action that is refused or queued while it runs.
#[derive(Debug, Default)]
struct Lane {
    running: Option<Arc<Session>>,
    waiting: VecDeque<Arc<Session>>,
}

impl Actions {
    pub(crate) fn new(sessions: Sessions, launch: Launch, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { sessions, launch, tasks, lanes: Mutex::default() }))
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs, queues or refuses. Idempotent by request id.
    pub(crate) fn run(&self, request: RunActionRequest) -> Result<Started, ActionError> {
        let plan = self.0.launch.plan().ok_or(ActionError::NoManifest)?;
        if let Some(session) = self.0.sessions.by_request(&request.request_id) {
            let queued_behind = self.place(&request.action_id, &session);
            return Ok(Started { session, queued_behind });
        }
        let action = plan.manifest.actions.iter().find(|action| action.id == request.action_id);
        let action =
            action.ok_or_else(|| ActionError::Unknown { id: request.action_id.clone() })?;
        let wanted = wanted(action, request.request_id, &request.inputs, &plan)?;
        if action.concurrency() == ActionConcurrency::Parallel {
            return Ok(Started { session: self.0.sessions.start(wanted)?, queued_behind: 0 });
        }
        let mut lanes = self.lanes();
        let lane = lanes.entry(action.id.clone()).or_default();
        let Some(running) = &lane.running else {
            let session = self.0.sessions.start(wanted)?;
            lane.running = Some(session.clone());
            self.follow(action.id.clone(), session.clone());
            return Ok(Started { session, queued_behind: 0 });
        };
        match action.concurrency() {
            ActionConcurrency::Queue if lane.waiting.len() >= MOST_QUEUED => {
                Err(ActionError::QueueFull)
            }
            ActionConcurrency::Queue => {
                let session = self.0.sessions.reserve(wanted)?;
                lane.waiting.push_back(session.clone());
                let queued_behind = u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX);
                Ok(Started { session, queued_behind })
            }
            ActionConcurrency::Refuse
            | ActionConcurrency::Unspecified
            | ActionConcurrency::Parallel => {
                Err(ActionError::Runs { session: running.id.to_string() })
            }
        }
    }

    fn place(&self, action_id: &str, session: &Arc<Session>) -> u32 {
        let lanes = self.lanes();
        let place = lanes
            .get(action_id)
            .and_then(|lane| lane.waiting.iter().position(|one| one.id == session.id));
        place.and_then(|place| u32::try_from(place + 1).ok()).unwrap_or(0)
    }

    /// Starts what waits when a run has ended.
    fn follow(&self, action_id: String, mut session: Arc<Session>) {
        let this = self.clone();
        self.0.tasks.spawn(async move {
            loop {
                session.ended().await;
                let mut lanes = this.lanes();
                let Some(lane) = lanes.get_mut(&action_id) else { return };
                let Some(next) = lane.waiting.pop_front() else {
                    lanes.remove(&action_id);
                    return;
                };
                lane.running = Some(next.clone());
                drop(lanes);
                this.0.sessions.begin(&next);
                session = next;
            }
        });
    }
}

fn wanted(
    action: &Action,
    request_id: String,
    inputs: &[ActionInput],
    plan: &Plan,
) -> Result<Wanted, ActionError> {
    Ok(Wanted {
        request_id,
        program: program(action, inputs, plan)?,
        input: Input::Nothing,
        lossless: false,
        timeout: (action.timeout_ms != 0)
            .then(|| Duration::from_millis(u64::from(action.timeout_ms))),
        detach_timeout: None,
        action: Some(action.name.clone()),
    })
}
