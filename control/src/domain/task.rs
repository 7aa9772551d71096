//! Durable tasks: everything that takes long is one, with events that are kept.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ids::{Login, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// What a task does. `subject` in [`Task`] names what it does it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    StartStudio,
    StopStudio,
    Synchronise,
    Build,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    pub id: TaskId,
    pub kind: TaskKind,
    /// Id of the studio or build.
    pub subject: String,
    pub state: TaskState,
    /// Set by the task when it ends well; its shape depends on the kind.
    pub result: Option<serde_json::Value>,
    /// Set when it failed: which step, why, what to do.
    pub failure: Option<String>,
    pub requested_by: Login,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

/// One thing that happened in a task. Kept, numbered without holes from 1, streamed as server-sent events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskEvent {
    pub seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The step it belongs to, such as `files`; a [`super::studio::StartStep`] for starts.
    pub step: String,
    pub status: StepStatus,
    /// For people.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    Began,
    Progress,
    Done,
    Failed,
}
