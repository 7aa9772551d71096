//! Durable tasks: made, followed and ended here.
//!
//! Every event is kept before anybody hears of it, and a follower reads from the store whatever it may have missed: a
//! stream of events has no hole, across slow readers and restarts of the control plane.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::Stream;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::{
    clock::SharedClock,
    domain::{
        ids::{Login, TaskId},
        permission::Principal,
        studio::StartStep,
        task::{StepStatus, Task, TaskEvent, TaskKind, TaskState},
    },
    store::Store,
};

/// How many events a follower reads at once.
const BATCH: u32 = 256;

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Succeeded(serde_json::Value),
    Failed(String),
    Cancelled,
}

/// What a follower sees.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskUpdate {
    Step(TaskEvent),
    /// Always last.
    End(Task),
}

/// A task of this process that may be followed or cancelled.
struct Live {
    /// Rises with every event; followers look into the store then.
    changed: watch::Sender<u64>,
    cancel: CancellationToken,
}

/// Makes, follows and ends tasks.
pub struct TaskService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    live: Mutex<HashMap<TaskId, Live>>,
}

/// Writes a task's events while it runs.
#[derive(Clone)]
pub struct TaskHandle {
    service: Arc<TaskService>,
    id: TaskId,
    cancel: CancellationToken,
}

impl TaskService {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { store, clock, live: Mutex::default() })
    }

    /// Keeps a new task.
    pub async fn create(
        self: &Arc<Self>,
        kind: TaskKind,
        subject: impl ToString,
        requested_by: &Login,
    ) -> Result<(Task, TaskHandle), AppError> {
        let task = Task {
            id: TaskId::random(),
            kind,
            subject: subject.to_string(),
            state: TaskState::Running,
            result: None,
            failure: None,
            requested_by: requested_by.clone(),
            created_at: self.clock.now(),
            ended_at: None,
        };
        self.store.create_task(&task).await?;
        let handle = self.resume(&task.id).await;
        Ok((task, handle))
    }

    /// A handle for a task that is kept: after a restart, or in another part of the program.
    pub async fn resume(self: &Arc<Self>, id: &TaskId) -> TaskHandle {
        let mut live = self.live.lock().await;
        let live = live.entry(id.clone()).or_insert_with(|| Live {
            changed: watch::Sender::new(0),
            cancel: CancellationToken::new(),
        });
        TaskHandle { service: Arc::clone(self), id: id.clone(), cancel: live.cancel.clone() }
    }

    /// Tasks that had not ended when the program was last stopped or killed.
    pub async fn unfinished(&self) -> Result<Vec<Task>, AppError> {
        Ok(self.store.running_tasks().await?)
    }

    pub async fn get(&self, id: &TaskId) -> Result<Task, AppError> {
        self.store.task(id).await?.ok_or_else(|| AppError::not_found("task", id))
    }

    /// The task, as soon as it has ended or the time is over. Cancel safe.
    pub async fn wait(&self, id: &TaskId, longest: Duration) -> Result<Task, AppError> {
        let ended = async {
            loop {
                let changed = self.subscribe(id).await;
                let task = self.get(id).await?;
                match changed {
                    Some(mut changed) if task.state == TaskState::Running => {
                        // An error means that the task was forgotten, so that it has ended: look again.
                        drop(changed.changed().await);
                    }
                    _ => return Ok(task),
                }
            }
        };
        match tokio::time::timeout(longest, ended).await {
            Ok(task) => task,
            Err(_) => self.get(id).await,
        }
    }

    /// Asks a running task to stop. Only whoever requested it, or an administrator.
    pub async fn cancel(&self, who: &Principal, id: &TaskId) -> Result<Task, AppError> {
        let task = self.get(id).await?;
        if task.requested_by != who.login {
            who.require_admin()?;
        }
        if let Some(live) = self.live.lock().await.get(id) {
            live.cancel.cancel();
        }
        Ok(task)
    }

    async fn subscribe(&self, id: &TaskId) -> Option<watch::Receiver<u64>> {
        self.live.lock().await.get(id).map(|live| live.changed.subscribe())
    }

    /// Events after a number, then live, then the end.
    pub fn follow(
        self: &Arc<Self>,
        id: TaskId,
        mut after: u64,
    ) -> impl Stream<Item = Result<TaskUpdate, AppError>> + Send + 'static {
        let service = Arc::clone(self);
        async_stream::try_stream! {
            loop {
                // Subscribe before looking, so that nothing falls between the look and the wait.
                let changed = service.subscribe(&id).await;
                let task = service.get(&id).await?;
                loop {
                    let events = service.store.task_events(&id, after, BATCH).await?;
                    let full = events.len() == BATCH as usize;
                    for event in events {
                        after = event.seq;
                        yield TaskUpdate::Step(event);
                    }
                    if !full {
                        break;
                    }
                }
                match changed {
                    Some(mut changed) if task.state == TaskState::Running => {
                        drop(changed.changed().await);
                    }
                    _ => {
                        yield TaskUpdate::End(task);
                        return;
                    }
                }
            }
        }
    }

    /// The events that are kept of a task.
    pub async fn events(&self, id: &TaskId) -> Result<Vec<TaskEvent>, AppError> {
        Ok(self.store.task_events(id, 0, 10_000).await?)
    }
}

impl TaskHandle {
    pub const fn id(&self) -> &TaskId {
        &self.id
    }

    /// Cancelled when somebody asks the task to stop.
    pub const fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    pub async fn event(
        &self,
        step: &str,
        status: StepStatus,
        message: &str,
    ) -> Result<(), AppError> {
        let message: String = message.chars().take(8192).collect();
        let now = self.service.clock.now();
        let event = self.service.store.append_event(&self.id, now, step, status, &message).await?;
        if let Some(live) = self.service.live.lock().await.get(&self.id) {
            live.changed.send_replace(event.seq);
        }
        Ok(())
    }

    /// An event of a studio's start.
    pub async fn step(
        &self,
        step: StartStep,
        status: StepStatus,
        message: &str,
    ) -> Result<(), AppError> {
        self.event(step.name(), status, message).await
    }

    /// Ends the task. The first ending counts.
    pub async fn end(&self, ending: Ending) -> Result<(), AppError> {
        let mut task = self.service.get(&self.id).await?;
        task.ended_at = Some(self.service.clock.now());
        match ending {
            Ending::Succeeded(result) => {
                task.state = TaskState::Succeeded;
                task.result = Some(result);
            }
            Ending::Failed(why) => {
                task.state = TaskState::Failed;
                task.failure = Some(why);
            }
            Ending::Cancelled => task.state = TaskState::Cancelled,
        }
        self.service.store.end_task(&task).await?;
        // Followers wake because their sender is dropped, and find the end in the store.
        self.service.live.lock().await.remove(&self.id);
        Ok(())
    }
}
