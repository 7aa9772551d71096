//! What the reconcilers need from the edges, in domain words. `agents/` and the synchronisation service implement these.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::AppError;
use crate::domain::{
    agent::AgentView,
    ids::{Login, StudioId},
    launch::{Launch, Mount},
    studio::Studio,
};

/// Studios' agents.
#[async_trait]
pub trait Agents: Send + Sync {
    /// A bootstrap token for this incarnation. Older incarnations are locked out from now on. Asking again for the same epoch
    /// gives another token and voids the one before, unless an agent has exchanged that already.
    async fn issue_token(&self, studio: &StudioId, epoch: u64) -> Result<String, AppError>;

    /// The pod of this incarnation shows what its runtime gave it: no token is needed. Older incarnations are locked out, and
    /// once an agent of the incarnation was here, so is every other pod, until this is asked again.
    async fn expect_pod(&self, studio: &StudioId, epoch: u64) -> Result<(), AppError>;

    /// Where agents dial, and what they need to trust it: variables for the pod.
    fn connection_env(&self) -> Vec<(String, String)>;

    /// What is known, and every change of it. There is always one, also of studios without an agent.
    fn watch(&self, studio: &StudioId) -> watch::Receiver<AgentView>;

    /// Hands over what to run. Idempotent by generation.
    async fn launch(&self, studio: &StudioId, launch: &Launch) -> Result<(), AppError>;

    /// Mounts are filled: entrypoints start. Idempotent.
    async fn start_entrypoints(&self, studio: &StudioId, generation: u64) -> Result<(), AppError>;

    /// Begins the end; the agent asks for its synchronisations by itself. Idempotent.
    async fn drain(
        &self,
        studio: &StudioId,
        grace: Duration,
        reason: &str,
        without_sync: bool,
    ) -> Result<(), AppError>;

    /// Forgets the studio: its pod is gone for good.
    async fn forget(&self, studio: &StudioId) -> Result<(), AppError>;
}

/// Where a studio's files stand, told while they move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileProgress {
    pub mounts_done: u32,
    pub mounts: u32,
    pub files: u64,
    pub bytes: u64,
}

pub use crate::domain::sync::{FinalSync, Recovered};

/// A studio's files between its zones and its agent.
#[async_trait]
pub trait FileSync: Send + Sync {
    /// Declares the mounts of the studio's present incarnation, so that later calls and the agent's own wishes find them.
    async fn declare_mounts(&self, studio: &Studio, mounts: &[Mount]) -> Result<(), AppError>;

    /// Server → studio, before any entrypoint is launched. Progress is sent as it comes.
    async fn fill(
        &self,
        studio: &Studio,
        progress: watch::Sender<FileProgress>,
    ) -> Result<(), AppError>;

    /// What incarnations that were lost had and the zones lack comes into the zones, from their shadow copies.
    async fn recover(&self, studio: &Studio) -> Result<Recovered, AppError>;

    /// How many files of the studio's last incarnation have shadow copies that its zones lack.
    async fn shadowed(&self, studio: &Studio) -> Result<u64, AppError>;

    /// Whether the agent's last final synchronisation in this epoch brought everything back; `None`: there was none.
    async fn final_result(&self, studio: &StudioId, epoch: u64) -> Option<FinalSync>;

    /// Studio → server with nobody to ask: conflicts keep both, questions wait.
    async fn bring_back(&self, studio: &Studio, author: &Login) -> Result<FinalSync, AppError>;
}
