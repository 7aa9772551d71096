//! Builds and their logs.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::Result;
use crate::domain::{
    build::{Build, ImageRef},
    ids::{BuildId, TemplateId},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLogLine {
    /// Without holes, from 1.
    pub seq: u64,
    pub at: OffsetDateTime,
    pub node: String,
    /// `build`, `stdout` or `stderr`.
    pub stream: String,
    pub text: String,
}

#[async_trait]
pub trait Builds: Send + Sync {
    async fn create_build(&self, build: &Build) -> Result<()>;
    async fn update_build(&self, build: &Build) -> Result<()>;
    async fn build(&self, id: &BuildId) -> Result<Option<Build>>;
    /// Newest first.
    async fn builds(&self, template: Option<&TemplateId>, limit: u32) -> Result<Vec<Build>>;
    /// Queued or running, oldest first.
    async fn unfinished_builds(&self) -> Result<Vec<Build>>;
    /// The newest that succeeded.
    async fn good_build(&self, template: &TemplateId) -> Result<Option<Build>>;
    /// What studios of this build launch: an `images` launch specification.
    async fn put_launch(&self, id: &BuildId, launch: &serde_json::Value) -> Result<()>;
    async fn launch(&self, id: &BuildId) -> Result<Option<serde_json::Value>>;
    /// Images that a good build or a studio needs.
    async fn images_in_use(&self) -> Result<Vec<ImageRef>>;

    /// Numbers and keeps the lines; answers with the number of the last.
    async fn append_build_log(&self, id: &BuildId, lines: &[BuildLogLine]) -> Result<u64>;
    async fn build_log(&self, id: &BuildId, after: u64, limit: u32) -> Result<Vec<BuildLogLine>>;
}
