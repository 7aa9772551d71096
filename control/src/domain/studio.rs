//! Studios and their states.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ids::{BuildId, Login, ProjectKey, StudioId, TaskId, TemplateId};

/// What the user asked for. The reconciler makes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    Running,
    Stopped,
}

/// Where a studio is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StudioState {
    Stopped,
    Starting,
    Running,
    Stopping,
}

/// Steps of a start, in order; each is shown with its time and message while the user waits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    Image,
    Resources,
    Pod,
    Agent,
    Files,
    Entrypoints,
    Readiness,
}

impl StartStep {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::Image,
        Self::Resources,
        Self::Pod,
        Self::Agent,
        Self::Files,
        Self::Entrypoints,
        Self::Readiness,
    ];

    /// As in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Resources => "resources",
            Self::Pod => "pod",
            Self::Agent => "agent",
            Self::Files => "files",
            Self::Entrypoints => "entrypoints",
            Self::Readiness => "readiness",
        }
    }
}

/// A user's instance of a template in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Studio {
    pub id: StudioId,
    pub project: ProjectKey,
    /// 1 to 100 characters, no control characters.
    pub name: String,
    pub owner: Login,
    pub template: TemplateId,
    /// Version of the template that it was started with last.
    pub template_version: Option<u32>,
    /// Build whose image it was started with last.
    pub build: Option<BuildId>,
    pub desired: DesiredState,
    pub state: StudioState,
    /// Rises with every start: identity of the pod within the studio. 0: never started.
    pub epoch: u64,
    /// The task that starts or stops it now.
    pub task: Option<TaskId>,
    /// Why the last start failed, for people.
    pub failure: Option<String>,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
}
