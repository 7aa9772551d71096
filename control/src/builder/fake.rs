//! A builder that runs nothing, and is stricter than the real ones: plans that no compiler would make are refused. For
//! tests of what stands on builders.

use std::collections::BTreeSet;

use async_trait::async_trait;
use images::plan::{BuildPlan, Fragment, NodeKey, Work};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{BuildError, Builder, LogLine, LogSink, LogStream};
use crate::domain::build::ImageRef;

/// The driver. A script whose text is `fail` fails, one whose text is `hang` waits for the build to be cancelled.
#[derive(Debug, Default)]
pub struct FakeBuilder(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    nodes: BTreeSet<NodeKey>,
    images: BTreeSet<ImageRef>,
    made: u64,
}

#[async_trait]
impl Builder for FakeBuilder {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn check(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        let mut before = BTreeSet::new();
        for node in &plan.nodes {
            assert!(
                node.parent.as_ref().is_none_or(|parent| before.contains(parent)),
                "{} stands on a node that does not come before it",
                node.name
            );
            before.insert(&node.key);
            if let Work::Run(run) = &node.work
                && matches!(run.fragment, Fragment::Dockerfile(_))
            {
                return Err(BuildError::Unsupported {
                    block: node.block,
                    block_type: node.block_type.clone(),
                    why: "it runs scripts alone".into(),
                    capable_runtimes: vec!["docker", "kubernetes"],
                });
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
        let mut anew = no_cache;
        for node in &plan.nodes {
            if cancel.is_cancelled() {
                return Err(BuildError::Cancelled);
            }
            let Work::Run(run) = &node.work else { continue };
            if !no_cache && self.0.lock().await.nodes.contains(&node.key) {
                continue;
            }
            let (stream, text) = (LogStream::Build, format!("{}: installing", node.name));
            log.line(LogLine { node: node.name.clone(), stream, text }).await;
            match &run.fragment {
                Fragment::Script { text, .. } if text == "fail" => {
                    let (block, node) = (node.block, node.name.clone());
                    return Err(BuildError::Failed { block, node, why: "it is told to".into() });
                }
                Fragment::Script { text, .. } if text == "hang" => {
                    cancel.cancelled().await;
                    return Err(BuildError::Cancelled);
                }
                Fragment::Script { .. } | Fragment::Dockerfile(_) => (),
            }
            self.0.lock().await.nodes.insert(node.key.clone());
            anew = true;
        }
        let mut state = self.0.lock().await;
        let known = state.images.iter().filter(|image| image.digest == plan.digest);
        if let Some(image) = known.max().cloned().filter(|_| !anew) {
            return Ok(image);
        }
        state.made += 1;
        let reference = format!("{}-{:020}", plan.digest, state.made);
        let image =
            ImageRef { builder: self.name().into(), reference, digest: plan.digest.clone() };
        state.images.insert(image.clone());
        Ok(image)
    }

    async fn exists(&self, image: &ImageRef) -> Result<bool, BuildError> {
        Ok(self.0.lock().await.images.contains(image))
    }

    async fn collect_garbage(&self, keep: &[ImageRef]) -> Result<(), BuildError> {
        let mut state = self.0.lock().await;
        state.images.retain(|image| keep.contains(image));
        if state.images.is_empty() {
            state.nodes.clear();
        }
        Ok(())
    }
}
