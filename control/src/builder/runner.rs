//! Running a node: what a builder that writes images by itself leaves to others.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use images::plan::{Node, Run};
use tokio_util::sync::CancellationToken;

use crate::builder::{BuildError, LogSink, registry::Image};

/// What came out of a node that was run.
#[derive(Debug)]
pub enum Made {
    /// The folder that the script installed into; it becomes one layer.
    Folder(PathBuf),
    /// An image in the registry that adds layers to the one that the node was run on.
    Image(Image),
}

/// Runs nodes on images.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The builder's name with it.
    fn name(&self) -> &'static str;

    /// Says before anything runs why it can't run this.
    fn check(&self, run: &Run) -> Result<(), &'static str>;

    /// Runs a node on the image `on`, with `scratch` as an empty folder of its own, which the caller removes. When it returns,
    /// whatever the outcome, no process is left and nothing but `scratch` and what it [`Made`].
    async fn run(
        &self,
        node: &Node,
        run: &Run,
        on: &Image,
        scratch: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Made, BuildError>;
}
