//! What is known of a studio's agent.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::mounts::Sight;

/// How an agent is, as far as it has told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentView {
    /// Incarnation that is, or was last, connected; 0: none.
    pub epoch: u64,
    pub connected: bool,
    pub phase: AgentPhase,
    /// Manifest in force; 0: none.
    pub generation: u64,
    pub entrypoints: Vec<EntrypointView>,
    pub mounts: Vec<MountSight>,
    /// Things people should know, newest last, at most 20.
    pub notices: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentPhase {
    #[default]
    Waiting,
    Filling,
    Running,
    Draining,
    Ended,
}

/// Whether changes of a mount are seen in the studio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSight {
    pub mount: String,
    pub sight: Sight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrypointView {
    pub id: String,
    pub level: ReadinessLevel,
    pub since: OffsetDateTime,
    /// Why it is so: the last probe's failure, how it ended, who holds the port.
    pub reason: String,
    pub restarts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessLevel {
    /// The agent has not told yet, or is away.
    Unknown,
    Started,
    Listening,
    Ready,
    Degraded,
    BackingOff,
    Exited,
    Stopped,
}
