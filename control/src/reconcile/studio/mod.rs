//! Studios: one job at a time for each, chosen from what is wanted and what is.
//!
//! ```text
//! wanted    is                            job
//! running   stopped, starting             start (again from its first step, which finds what is done already)
//! running   running, but the pod is gone  lost: says why, stopped
//! running   stopping                      stop, then start
//! stopped   anything but stopped          stop
//! ```
//!
//! Every job may be cut off by a kill at any point and begun anew: it only ever uses calls that are idempotent. Wanting
//! a starting studio stopped cancels its start.

mod browser_path;
mod launch;
mod lost;
mod progress;
mod start;
mod stop;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::launch::LaunchContext;
use crate::{
    app::{
        AppError,
        ports::{Agents, FileSync},
        services::Services,
    },
    domain::{
        ids::StudioId,
        studio::{DesiredState, Studio, StudioState},
    },
    runtime::{PodState, Runtime, RuntimeError},
};

/// How often everything is looked at, whatever events say.
const PERIOD: Duration = Duration::from_secs(10);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the pod's making to its agent's hello.
    pub agent: Duration,
    /// From the launch of entrypoints until all that are exposed are ready.
    pub readiness: Duration,
    /// Until an agent that is away is given up when its studio is to stop.
    pub agent_return: Duration,
    /// From SIGTERM to SIGKILL, synchronisation included.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agent: Duration::from_mins(1),
            agent_return: Duration::from_secs(15),
            readiness: Duration::from_mins(10),
            grace: Duration::from_mins(5),
        }
    }
}

/// Why a job did not reach its end.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// For people: what failed, why, what to do.
    #[error("{0}")]
    Failed(String),
    /// It is not wanted any more, or the program ends.
    #[error("it was cancelled")]
    Cancelled,
}

impl From<crate::store::StoreError> for JobError {
    fn from(error: crate::store::StoreError) -> Self {
        AppError::from(error).into()
    }
}

/// A job under way.
struct Job {
    starting: bool,
    cancel: CancellationToken,
}

/// The reconciler of studios.
pub struct StudioReconciler {
    services: Arc<Services>,
    agents: Arc<dyn Agents>,
    files: Arc<dyn FileSync>,
    runtime: Arc<dyn Runtime>,
    context: LaunchContext,
    limits: Limits,
    jobs: Mutex<HashMap<StudioId, Job>>,
    tracker: TaskTracker,
}

impl StudioReconciler {
    pub fn new(
        services: Arc<Services>,
        agents: Arc<dyn Agents>,
        files: Arc<dyn FileSync>,
        runtime: Arc<dyn Runtime>,
        context: LaunchContext,
        limits: Limits,
    ) -> Arc<Self> {
        let (jobs, tracker) = (Mutex::default(), TaskTracker::new());
        Arc::new(Self { services, agents, files, runtime, context, limits, jobs, tracker })
    }

    /// Runs until shut down. Studios go on then; jobs under way are cut off and begun anew by the next program.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut changes = self.services.studios.changes();
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let changed = tokio::select! {
                () = shutdown.cancelled() => break,
                change = changes.recv() => match change {
                    Ok(studio) => Some(studio),
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => break,
                },
                studio = self.runtime.changed() => Some(studio),
                _ = period.tick() => None,
            };
            let looked = match changed {
                Some(studio) => self.look(&studio, &shutdown).await,
                None => self.look_at_all(&shutdown).await,
            };
            if let Err(error) = looked {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "studios can't be looked at"
                );
            }
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    async fn look_at_all(self: &Arc<Self>, shutdown: &CancellationToken) -> Result<(), JobError> {
        for studio in self.services.store.studios(None).await? {
            self.consider(studio, shutdown).await?;
        }
        Ok(())
    }

    async fn look(
        self: &Arc<Self>,
        id: &StudioId,
        shutdown: &CancellationToken,
    ) -> Result<(), JobError> {
        match self.services.store.studio(id).await? {
            Some(studio) => self.consider(studio, shutdown).await,
            None => Ok(()),
        }
    }

    /// Chooses a job for a studio, unless it has one.
    async fn consider(
        self: &Arc<Self>,
        studio: Studio,
        shutdown: &CancellationToken,
    ) -> Result<(), JobError> {
        use DesiredState as Wanted;
        if self.busy(&studio) {
            return Ok(());
        }
        match (studio.desired, studio.state) {
            (Wanted::Stopped, StudioState::Stopped) => (),
            (Wanted::Running, StudioState::Stopped | StudioState::Starting) => {
                self.begin(studio, true, shutdown);
            }
            (Wanted::Running, StudioState::Running) => {
                if !matches!(self.runtime.observe_studio(&studio.id).await?, PodState::Running(_)) {
                    lost::settle(self, studio).await?;
                }
            }
            (Wanted::Running, StudioState::Stopping)
            | (
                Wanted::Stopped,
                StudioState::Starting | StudioState::Running | StudioState::Stopping,
            ) => {
                self.begin(studio, false, shutdown);
            }
        }
        Ok(())
    }

    /// Whether a job is under way. A start that is not wanted any more is told so.
    fn busy(&self, studio: &Studio) -> bool {
        let jobs = self.jobs.lock().expect("no job panics while it holds this");
        match jobs.get(&studio.id) {
            Some(job) => {
                if job.starting && studio.desired == DesiredState::Stopped {
                    job.cancel.cancel();
                }
                true
            }
            None => false,
        }
    }

    fn begin(self: &Arc<Self>, studio: Studio, starting: bool, shutdown: &CancellationToken) {
        let (reconciler, id, cancel) =
            (Arc::clone(self), studio.id.clone(), shutdown.child_token());
        let job = Job { starting, cancel: cancel.clone() };
        self.jobs.lock().expect("no job panics while it holds this").insert(id.clone(), job);
        let shutdown = shutdown.clone();
        self.tracker.spawn(async move {
            let done = if starting {
                start::run(&reconciler, studio, &cancel, &shutdown).await
            } else {
                tokio::select! {
                    done = stop::run(&reconciler, studio) => done,
                    () = shutdown.cancelled() => Err(JobError::Cancelled),
                }
            };
            match done {
                Ok(()) | Err(JobError::Cancelled) => (),
                Err(error) => {
                    tracing::error!(studio = %id, error = &error as &dyn std::error::Error, "a studio's job failed");
                }
            }
            reconciler.jobs.lock().expect("no job panics while it holds this").remove(&id);
            reconciler.services.studios.touch(&id);
        });
    }

    /// Keeps what is, and tells everybody.
    async fn settle(&self, studio: &Studio) -> Result<(), JobError> {
        self.services.store.set_actual(studio).await?;
        self.services.studios.touch(&studio.id);
        Ok(())
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
