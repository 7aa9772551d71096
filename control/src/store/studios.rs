//! Studios, and what their last synchronisation left open.

use async_trait::async_trait;

use super::Result;
use crate::domain::{
    ids::{ProjectKey, StudioId, TaskId},
    studio::{DesiredState, Studio, StudioState},
};

#[async_trait]
pub trait Studios: Send + Sync {
    async fn create_studio(&self, studio: &Studio) -> Result<()>;
    /// Name and owner only; the rest is the reconciler's.
    async fn rename_studio(&self, studio: &Studio) -> Result<bool>;
    /// What is wanted; the reconciler makes it so.
    async fn set_desired(
        &self,
        id: &StudioId,
        desired: DesiredState,
        task: &TaskId,
    ) -> Result<bool>;
    /// Wants it stopped, unless somebody wanted something else since `task` was asked for.
    async fn drop_wish(&self, id: &StudioId, task: Option<&TaskId>) -> Result<bool>;
    /// What is: the reconciler's columns (`state`, `epoch`, `build`, `template_version`, `failure`, `started_at`).
    async fn set_actual(&self, studio: &Studio) -> Result<bool>;
    async fn delete_studio(&self, id: &StudioId) -> Result<bool>;
    async fn studio(&self, id: &StudioId) -> Result<Option<Studio>>;
    /// By name.
    async fn studios(&self, project: Option<&ProjectKey>) -> Result<Vec<Studio>>;
    async fn studios_in(&self, states: &[StudioState]) -> Result<Vec<Studio>>;
}

/// Conflicts and questions that wait for an answer, per mount, as the API shows them.
#[async_trait]
pub trait SyncLedger: Send + Sync {
    async fn put_open_issues(
        &self,
        studio: &StudioId,
        mount: &str,
        open: &serde_json::Value,
    ) -> Result<()>;
    /// By mount.
    async fn open_issues(&self, studio: &StudioId) -> Result<Vec<(String, serde_json::Value)>>;
}
