//! Builds: attempts to turn a template version into an image.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ids::{BuildId, Login, TemplateId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub id: BuildId,
    pub template: TemplateId,
    pub template_version: u32,
    pub state: BuildState,
    /// What came out; in the terms of the builder driver.
    pub image: Option<ImageRef>,
    /// Why it failed, for people: the block, what, what to do.
    pub failure: Option<String>,
    pub no_cache: bool,
    pub requested_by: Login,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
}

/// A built image: the driver that made it and its own name for it (a registry reference with digest, or a folder's key).
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct ImageRef {
    pub builder: String,
    pub reference: String,
    /// Digest over everything that went in.
    pub digest: String,
}
