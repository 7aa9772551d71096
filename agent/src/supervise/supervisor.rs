//! Handles of all entrypoints, in the order of the manifest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nix::sys::signal::Signal;
use proto::agent::v1::{
    Entrypoint, Exit, RestartPolicy, control_entrypoint_request::Verb, exit::How,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::runner::{Command, Runner};
use super::state::Reported;
use crate::events::Events;
use crate::launch::{Launch, Plan};
use crate::output::{Journal, PIPE_LIMIT_BYTES, Retention};
use crate::sys::Reaper;

/// More of a log would be memory that the studio's own processes want.
const MOST_LOG_BYTES: usize = 16 << 20;

/// When all stop, the next one gets TERM once those before it have ended, or after this time.
const HEAD_START: Duration = Duration::from_secs(1);

/// No entrypoint has this id, or it is no longer kept.
#[derive(Debug, Error)]
#[error("there is no entrypoint {id:?}")]
pub(crate) struct UnknownEntrypoint {
    pub id: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reaper: Reaper,
    events: Events,
    launch: Launch,
    tasks: TaskTracker,
    handles: Mutex<Vec<Handle>>,
}

#[derive(Debug, Clone)]
struct Handle {
    entrypoint: Entrypoint,
    journal: Arc<Journal>,
    /// `None` once it was stopped for good; its log stays.
    commands: Option<mpsc::Sender<Command>>,
}

impl Supervisor {
    pub(crate) fn new(reaper: Reaper, events: Events, launch: Launch, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { reaper, events, launch, tasks, handles: Mutex::default() }))
    }

    fn handles(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.0.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what runs what the plan says: stops what is gone or differs, keeps what is the same, starts what is new.
    /// Returns at once; stopping goes on behind it.
    pub(crate) fn apply(&self, plan: &Arc<Plan>) {
        let mut handles = self.handles();
        let mut before = std::mem::take(&mut *handles);
        for entrypoint in &plan.manifest.entrypoints {
            let known = before.iter().position(|handle| handle.entrypoint.id == entrypoint.id);
            let known = known.map(|index| before.remove(index));
            let handle = match known {
                Some(handle) if handle.entrypoint == *entrypoint => handle,
                Some(handle) => self.replace(handle, entrypoint.clone(), plan.clone()),
                None => {
                    let limit =
                        usize::try_from(plan.manifest.log_limit_bytes).unwrap_or(usize::MAX);
                    let limit =
                        if limit == 0 { PIPE_LIMIT_BYTES } else { limit.min(MOST_LOG_BYTES) };
                    let journal = Journal::new(Retention::Newest { limit_bytes: limit });
                    self.launch(entrypoint.clone(), plan.clone(), journal, None)
                }
            };
            handles.push(handle);
        }
        drop(handles);
        for gone in before {
            let events = self.0.events.clone();
            self.0.tasks.spawn(async move {
                stop(&gone).await;
                events.forget_entrypoint(&gone.entrypoint.id);
            });
        }
    }

    fn replace(&self, old: Handle, entrypoint: Entrypoint, plan: Arc<Plan>) -> Handle {
        let journal = old.journal.clone();
        self.launch(entrypoint, plan, journal, Some(old))
    }

    fn launch(
        &self,
        entrypoint: Entrypoint,
        plan: Arc<Plan>,
        journal: Arc<Journal>,
        after: Option<Handle>,
    ) -> Handle {
        let (commands, received) = mpsc::channel(4);
        let runner = Runner {
            entrypoint: entrypoint.clone(),
            launch: self.0.launch.clone(),
            plan,
            reaper: self.0.reaper.clone(),
            journal: journal.clone(),
            reported: Reported::new(&entrypoint.id, self.0.events.clone()),
            commands: received,
        };
        self.0.tasks.spawn(async move {
            if let Some(old) = after {
                stop(&old).await;
            }
            runner.run().await;
        });
        Handle { entrypoint, journal, commands: Some(commands) }
    }

    /// Restarts, stops or starts one; returns when it has been done (a start: begun).
    pub(crate) async fn control(&self, id: &str, verb: Verb) -> Result<(), UnknownEntrypoint> {
        let unknown = || UnknownEntrypoint { id: id.to_owned() };
        let handle = self
            .handles()
            .iter()
            .find(|handle| handle.entrypoint.id == id)
            .cloned()
            .ok_or_else(unknown)?;
        let commands = handle.commands.ok_or_else(unknown)?;
        let (done, told) = oneshot::channel();
        let command = match verb {
            Verb::Restart => Command::Restart(done),
            Verb::Stop => Command::Stop(done),
            Verb::Start | Verb::Unspecified => Command::Start(done),
        };
        commands.send(command).await.map_err(|_| unknown())?;
        told.await.map_err(|_| unknown())
    }

    /// The log of an entrypoint of the manifest in force.
    pub(crate) fn log(&self, id: &str) -> Result<Arc<Journal>, UnknownEntrypoint> {
        let unknown = || UnknownEntrypoint { id: id.to_owned() };
        self.handles()
            .iter()
            .find(|handle| handle.entrypoint.id == id)
            .map(|handle| handle.journal.clone())
            .ok_or_else(unknown)
    }

    /// The end of every log, for the death certificate.
    pub(crate) fn log_tails(&self, limit: usize) -> Vec<(String, String)> {
        self.handles()
            .iter()
            .map(|handle| (handle.entrypoint.id.clone(), handle.journal.tail_text(limit)))
            .collect()
    }

    /// Passes a signal on to every entrypoint that runs.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for handle in self.handles().iter() {
            if let Some(commands) = &handle.commands {
                // A full queue means that it is being stopped or started: then the signal is of no use.
                commands.try_send(Command::Signal(signal)).ok();
            }
        }
    }

    /// Stops all: TERM goes out in reverse order of the manifest, each has its own grace, and a
    /// stubborn one holds nobody up. Nothing starts any more.
    pub(crate) async fn stop_all(&self) {
        let handles = self.handles().clone();
        let mut stopping = FuturesUnordered::new();
        for handle in handles.iter().rev() {
            stopping.push(stop(handle));
            let all_ended = async { while stopping.next().await.is_some() {} };
            timeout(HEAD_START, all_ended).await.ok();
        }
        while stopping.next().await.is_some() {}
        for handle in self.handles().iter_mut() {
            handle.commands = None;
        }
    }

    /// What the main entrypoint (the first that is never restarted) answered by itself.
    pub(crate) fn main_exit(&self) -> Option<Exit> {
        let handles = self.handles();
        let main =
            handles.iter().find(|handle| handle.entrypoint.restart() == RestartPolicy::Never)?;
        let state = self.0.events.entrypoint(&main.entrypoint.id)?;
        state.last_exit.filter(|exit| {
            !exit.cancelled && exit.how.as_ref().is_some_and(|how| *how != How::Code(0))
        })
    }
}

async fn stop(handle: &Handle) {
    let Some(commands) = &handle.commands else { return };
    let (done, told) = oneshot::channel();
    if commands.send(Command::Stop(done)).await.is_ok() {
        told.await.ok();
    }
}
