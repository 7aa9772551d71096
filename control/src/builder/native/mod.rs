//! Images out of layers and manifests that we write ourselves, straight into a registry: no daemon, no image on this machine.
//!
//! ```text
//! base's layers ─ mounted, or copied from its registry
//! nodes' layers ─ files: written here; what must be run: by a runner, once per key
//! agent's layer ─ last, over what the base may have
//!        └─► config ─► manifest ─► asked for again by digest
//! ```
//! What was made is remembered by key (`cache`), and is asked for in the registry before it counts: nothing changed is one
//! request. A crash leaves scratch files, which the next start removes, and blobs without a manifest, which the registry's own
//! garbage collection does.
//! Not here: running anything (`builder::buildah`), the distribution API (`builder::registry`).

mod agent;
mod base;
mod busy;
mod cache;
mod config;
mod garbage;
mod nodes;
mod push;
mod rebase;
#[cfg(test)]
pub(crate) mod rig;
mod settings;
mod stack;

use std::sync::Arc;

use async_trait::async_trait;
use images::plan::{BuildPlan, Fragment, Node, Work};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::{BuildError, Builder, LogLine, LogSink, LogStream, registry::Registry, runner::Runner};
use crate::domain::build::ImageRef;
use agent::AgentLayer;
use base::Bases;
use busy::Busy;
use cache::{Cache, ImageRecord};
pub use rebase::Rebased;
pub use settings::NativeSettings;
use stack::Stack;

/// The driver.
pub struct NativeBuilder {
    registry: Registry,
    settings: NativeSettings,
    cache: Cache,
    bases: Bases,
    agent: AgentLayer,
    runner: Option<Arc<dyn Runner>>,
    busy: Busy,
    /// Builds read; who collects garbage writes, and does so only when nobody builds.
    building: RwLock<()>,
}

impl NativeBuilder {
    /// Opens what is remembered below the settings' folder. Without a runner, only files can be put into images.
    pub fn open(
        settings: NativeSettings,
        registry: Registry,
        runner: Option<Arc<dyn Runner>>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            registry,
            cache: Cache::open(&settings.folder)?,
            bases: Bases::default(),
            agent: AgentLayer::new(settings.agent.clone()),
            settings,
            runner,
            busy: Busy::default(),
            building: RwLock::default(),
        })
    }

    /// Ends early when the build is cancelled: for what may be left off anywhere.
    async fn unless_cancelled<T>(
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        cancel.run_until_cancelled(work).await.unwrap_or(Err(BuildError::Cancelled))
    }

    fn reference(&self, plan_digest: &str, record: &ImageRecord) -> ImageRef {
        ImageRef {
            builder: self.name().into(),
            reference: record.reference.clone(),
            digest: plan_digest.to_owned(),
        }
    }
}

#[async_trait]
impl Builder for NativeBuilder {
    fn name(&self) -> &'static str {
        self.runner.as_ref().map_or("native", |runner| runner.name())
    }

    fn check(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        for node in &plan.nodes {
            match (&node.work, &self.runner) {
                (Work::Files(_), _) => (),
                (Work::Run(run), Some(runner)) => {
                    runner.check(run).map_err(|why| unsupported(node, why))?;
                }
                (Work::Run(_), None) => {
                    return Err(unsupported(
                        node,
                        "it has to be run, and this builder runs nothing",
                    ));
                }
            }
        }
        Ok(())
    }

    async fn build(
        &self,
        plan: &BuildPlan,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: CancellationToken,
    ) -> Result<ImageRef, BuildError> {
        self.check(plan)?;
        if cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        let _building = self.building.read().await;
        let looking = self.base(&plan.base, &plan.platform);
        let base = Self::unless_cancelled(&cancel, looking).await?;
        let agent = self.agent_layer().await?;
        let key = cache::image_key(plan, &base, agent.as_ref(), self.settings.packing);
        if !no_cache && let Some(record) = self.cache.image(&key).map_err(disk)? {
            let image = self.reference(&plan.digest, &record);
            if Self::unless_cancelled(&cancel, self.exists(&image)).await? {
                say(log, "", &format!("image {}: built before", image.reference)).await;
                return Ok(image);
            }
        }
        let mut stack = Stack::on(&base);
        for node in &plan.nodes {
            if cancel.is_cancelled() {
                return Err(BuildError::Cancelled);
            }
            let record = self.node(node, &base, &stack, no_cache, log, &cancel).await?;
            stack.add(&node.name, record);
        }
        let pushing = self.push_image(plan, &base, stack, agent.as_ref());
        let record = Self::unless_cancelled(&cancel, pushing).await?;
        self.cache.keep_image(Some(&key), &record).map_err(disk)?;
        self.cache.let_go_of_large(&record).map_err(disk)?;
        say(log, "", &format!("image {}", record.reference)).await;
        Ok(self.reference(&plan.digest, &record))
    }

    async fn exists(&self, image: &ImageRef) -> Result<bool, BuildError> {
        let name = image.reference.parse().map_err(registry_failed)?;
        let found = self.registry.manifest_digest(&name).await.map_err(registry_failed)?;
        Ok(found.is_some())
    }

    async fn collect_garbage(&self, keep: &[ImageRef]) -> Result<(), BuildError> {
        let Ok(_alone) = self.building.try_write() else { return Ok(()) };
        self.sweep(keep).await
    }
}

async fn say(log: &dyn LogSink, node: &str, text: &str) {
    let line = LogLine { node: node.to_owned(), stream: LogStream::Build, text: text.to_owned() };
    log.line(line).await;
}

fn unsupported(node: &Node, why: &str) -> BuildError {
    BuildError::Unsupported {
        block: node.block,
        block_type: node.block_type.clone(),
        why: why.to_owned(),
        capable_runtimes: vec!["docker", "kubernetes"],
    }
}

/// Whether a node's layer stands on the base alone, whatever comes before it.
fn is_independent(node: &Node) -> bool {
    node.independent
        && matches!(&node.work, Work::Run(run) if matches!(run.fragment, Fragment::Script { .. }))
}

fn disk(source: std::io::Error) -> BuildError {
    let what = match source.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full: free some room and build again",
        _ => "a folder of the build can't be used",
    };
    BuildError::Environment { what: what.into(), source: Box::new(source) }
}

fn registry_failed(source: super::registry::RegistryError) -> BuildError {
    BuildError::Environment {
        what: "the registry did not do what the build needs".into(),
        source: Box::new(source),
    }
}

fn layer_failed(source: super::layer::LayerError) -> BuildError {
    BuildError::Environment { what: "a layer can't be made".into(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
