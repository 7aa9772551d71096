//! How images are made. One trait, one driver a folder, one table.

pub mod base_image;
pub mod buildah;
#[cfg(test)]
mod conformance;
pub mod external;
pub mod fake;
pub mod layer;
pub mod native;
mod places;
pub mod prefix;
mod process;
pub mod ready;
pub mod registry;
pub mod runner;
mod scratch;

use async_trait::async_trait;
use images::plan::BuildPlan;
use tokio_util::sync::CancellationToken;

use crate::domain::build::ImageRef;

/// One line of a build's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The plan's node, such as `jupyterlab`; empty for the build as a whole.
    pub node: String,
    pub stream: LogStream,
    /// Without its line end, secrets masked, at most 8 KiB.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// The builder's own words.
    Build,
    Stdout,
    Stderr,
}

/// Takes log lines as they come. Bounded: waits when the reader is behind.
#[async_trait]
pub trait LogSink: Send + Sync {
    async fn line(&self, line: LogLine);
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// This builder can't do what the block wants: which, and which runtimes can.
    #[error("block {block} ({block_type}) can't be built here: {why}; runtimes that can: {}", capable_runtimes.join(", "))]
    Unsupported {
        block: usize,
        block_type: String,
        why: String,
        capable_runtimes: Vec<&'static str>,
    },
    /// A node's script failed.
    #[error("block {block} failed in {node}: {why}")]
    Failed { block: usize, node: String, why: String },
    #[error("the build was cancelled")]
    Cancelled,
    /// Not the template's fault: disk full, network away.
    #[error("{what}")]
    Environment {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A driver.
#[async_trait]
pub trait Builder: Send + Sync {
    /// Its name in configurations: `prefix`, `native`, `buildah`…
    fn name(&self) -> &'static str;

    /// Says before anything runs whether it can build the plan.
    fn check(&self, plan: &BuildPlan) -> Result<(), BuildError>;

    /// Builds what is not there yet. Cancelling leaves no process and nothing half made that a later build would take for
    /// whole; so does a crash.
    async fn build(
        &self,
        plan: &BuildPlan,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: CancellationToken,
    ) -> Result<ImageRef, BuildError>;

    /// Whether the image still exists.
    async fn exists(&self, image: &ImageRef) -> Result<bool, BuildError>;

    /// Removes every image and cached node that none of `keep` needs.
    async fn collect_garbage(&self, keep: &[ImageRef]) -> Result<(), BuildError>;
}
