//! `prefix`: images as folders of this machine, for the `process` runtime. No container engine, no root.
//!
//! ```text
//! nodes/<key>              → nodes/<key>-<id>/      what a script installed; the link is made last
//! images/<digest>          → images/<digest>-<id>/  one link a node folder, and the plan's files
//! ```
//!
//! A folder without a link to it is unfinished or replaced: nobody takes it for whole, and the next garbage collection
//! removes it. Folders are never changed once a link led to them, so a rebuild does not disturb running studios.

mod assemble;
mod layout;
mod script;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use images::plan::{BuildPlan, Fragment, Node, Work};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::layout::Layout;
use super::{BuildError, Builder, LogLine, LogSink, LogStream, process};
use crate::domain::build::ImageRef;

/// The driver.
pub struct PrefixBuilder {
    layout: Layout,
    /// For install scripts: package mirrors, proxies, CA bundle.
    build_env: BTreeMap<String, String>,
    /// One build of a node at a time; another that wants it waits and finds it done.
    busy: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl PrefixBuilder {
    /// Opens the store of nodes and images below `root`. Ends what an earlier program left running there.
    pub fn open(root: &Path, build_env: BTreeMap<String, String>) -> std::io::Result<Self> {
        let layout = Layout::open(root)?;
        process::end_leftovers(&layout.running())?;
        Ok(Self { layout, build_env, busy: Mutex::default() })
    }

    /// Folder of an image, for the runtime.
    pub fn image_folder(&self, image: &ImageRef) -> PathBuf {
        self.layout.image(&image.reference)
    }

    async fn build_node(
        &self,
        node: &Node,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Option<PathBuf>, BuildError> {
        let Work::Run(run) = &node.work else { return Ok(None) };
        let Fragment::Script { folder, text, env } = &run.fragment else {
            return Err(unsupported(node));
        };
        let lock = Arc::clone(self.busy.lock().await.entry(node.key.0.clone()).or_default());
        let _only_one = lock.lock().await;
        if !no_cache && let Some(done) = self.layout.node(&node.key) {
            say(log, node, &format!("{folder}: built before")).await;
            return Ok(Some(done));
        }
        say(log, node, &format!("{folder}: installing")).await;
        let fresh = self.layout.new_node(&node.key).map_err(environment)?;
        let script = script::Script {
            layout: &self.layout,
            node,
            text,
            env,
            context: &run.context,
            build_env: &self.build_env,
        };
        script.run(&fresh, log, cancel).await?;
        self.layout.commit_node(&node.key, &fresh).map_err(environment)?;
        Ok(Some(fresh))
    }
}

#[async_trait]
impl Builder for PrefixBuilder {
    fn name(&self) -> &'static str {
        "prefix"
    }

    fn check(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        let foreign = |node: &&Node| matches!(&node.work, Work::Run(run) if run.as_root || matches!(run.fragment, Fragment::Dockerfile(_)));
        plan.nodes.iter().find(foreign).map_or(Ok(()), |node| Err(unsupported(node)))
    }

    async fn build(
        &self,
        plan: &BuildPlan,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: CancellationToken,
    ) -> Result<ImageRef, BuildError> {
        self.check(plan)?;
        let mut folders = BTreeMap::new();
        for node in &plan.nodes {
            if cancel.is_cancelled() {
                return Err(BuildError::Cancelled);
            }
            if let Some(built) = self.build_node(node, no_cache, log, &cancel).await?
                && let Work::Run(run) = &node.work
                && let Fragment::Script { folder, .. } = &run.fragment
            {
                folders.insert(folder.clone(), built);
            }
        }
        let reference = assemble::image(&self.layout, plan, &folders).map_err(environment)?;
        log.line(LogLine {
            node: String::new(),
            stream: LogStream::Build,
            text: format!("image {}", plan.digest),
        })
        .await;
        Ok(ImageRef { builder: self.name().into(), reference, digest: plan.digest.clone() })
    }

    async fn exists(&self, image: &ImageRef) -> Result<bool, BuildError> {
        Ok(self.layout.is_whole_image(&image.reference))
    }

    async fn collect_garbage(&self, keep: &[ImageRef]) -> Result<(), BuildError> {
        // Nothing may be built meanwhile: a folder that is being filled has no link yet.
        let busy = self.busy.lock().await;
        if busy.values().any(|lock| lock.try_lock().is_err()) {
            return Ok(());
        }
        let keep = keep.iter().map(|image| image.reference.clone()).collect();
        self.layout.sweep(&keep).map_err(environment)
    }
}

async fn say(log: &dyn LogSink, node: &Node, text: &str) {
    log.line(LogLine { node: node.name.clone(), stream: LogStream::Build, text: text.to_owned() })
        .await;
}

fn unsupported(node: &Node) -> BuildError {
    BuildError::Unsupported {
        block: node.block,
        block_type: node.block_type.clone(),
        why: "it needs an image, and the process runtime has none".into(),
        capable_runtimes: vec!["docker", "kubernetes"],
    }
}

fn environment(error: std::io::Error) -> BuildError {
    let what = match error.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full: free some room and build again",
        _ => "a folder of the build can't be written",
    };
    BuildError::Environment { what: what.into(), source: Box::new(error) }
}

#[cfg(test)]
mod tests;
