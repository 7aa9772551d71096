//! Durable tasks with their events; the audit log; answers to repeated requests.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Page, Result};
use crate::domain::{
    audit::AuditEntry,
    ids::{Login, TaskId},
    task::{StepStatus, Task, TaskEvent},
};

#[async_trait]
pub trait Tasks: Send + Sync {
    async fn create_task(&self, task: &Task) -> Result<()>;
    /// Ends it: state, result, failure, end. `false` when it had ended before; nothing changes then.
    async fn end_task(&self, task: &Task) -> Result<bool>;
    async fn task(&self, id: &TaskId) -> Result<Option<Task>>;
    async fn running_tasks(&self) -> Result<Vec<Task>>;
    /// Numbers and keeps it.
    async fn append_event(
        &self,
        id: &TaskId,
        at: OffsetDateTime,
        step: &str,
        status: StepStatus,
        message: &str,
    ) -> Result<TaskEvent>;
    async fn task_events(&self, id: &TaskId, after: u64, limit: u32) -> Result<Vec<TaskEvent>>;
}

#[async_trait]
pub trait Audit: Send + Sync {
    async fn append_audit(&self, entry: &AuditEntry) -> Result<()>;
    /// Newest first; the cursor is a number.
    async fn audit(&self, page: &Page) -> Result<Vec<(u64, AuditEntry)>>;
}

/// The answer to a request that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentAnswer {
    /// SHA-256 over method, path and body of the first request.
    pub request_hash: Vec<u8>,
    pub status: u16,
    pub body: Vec<u8>,
}

#[async_trait]
pub trait Idempotency: Send + Sync {
    async fn answer(&self, login: &Login, key: &str) -> Result<Option<IdempotentAnswer>>;
    async fn put_answer(
        &self,
        login: &Login,
        key: &str,
        at: OffsetDateTime,
        answer: &IdempotentAnswer,
    ) -> Result<()>;
    async fn expire_answers(&self, before: OffsetDateTime) -> Result<()>;
}
