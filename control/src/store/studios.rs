//! Studios, and what their last synchronisation left open.

use async_trait::async_trait;

use super::Result;
use crate::domain::{
    ids::{ProjectKey, StudioId, TaskId},
    launch::Mount,
    mounts::{MountSettings, MountStatistics},
    studio::{DesiredState, Studio, StudioState},
    sync::FinalSync,
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

/// What an incarnation of a studio mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredMounts {
    pub epoch: u64,
    pub mounts: Vec<Mount>,
    /// How its final synchronisation went; `None`: there was none yet.
    pub last: Option<FinalSync>,
}

/// What is mounted, how it went, and conflicts and questions that wait for an answer, per mount, as the API shows them.
#[async_trait]
pub trait SyncLedger: Send + Sync {
    /// Takes the place of what an older incarnation mounted.
    async fn put_mounts(&self, studio: &StudioId, epoch: u64, mounts: &[Mount]) -> Result<()>;
    async fn mounts(&self, studio: &StudioId) -> Result<Option<DeclaredMounts>>;
    /// Only for the incarnation whose mounts are kept.
    async fn put_final_sync(&self, studio: &StudioId, epoch: u64, last: &FinalSync) -> Result<()>;
    /// By mount.
    async fn mount_settings(&self, studio: &StudioId) -> Result<Vec<(String, MountSettings)>>;
    async fn put_mount_settings(
        &self,
        studio: &StudioId,
        mount: &str,
        settings: MountSettings,
    ) -> Result<()>;
    /// By mount.
    async fn mount_statistics(&self, studio: &StudioId) -> Result<Vec<(String, MountStatistics)>>;
    /// Of a studio that is deleted meanwhile nothing is kept.
    async fn put_mount_statistics(
        &self,
        studio: &StudioId,
        mount: &str,
        statistics: &MountStatistics,
    ) -> Result<()>;
    async fn put_open_issues(
        &self,
        studio: &StudioId,
        mount: &str,
        open: &serde_json::Value,
    ) -> Result<()>;
    /// By mount.
    async fn open_issues(&self, studio: &StudioId) -> Result<Vec<(String, serde_json::Value)>>;
}
