//! An end: the pod in its own time, then everything else.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};

use super::{KubernetesRuntime, names};
use crate::{
    domain::ids::StudioId,
    runtime::{PodState, RuntimeError},
};

/// Beyond the grace, for the node to say that the pod is gone.
const MARGIN: Duration = Duration::from_secs(30);
/// For a pod that was taken from a node which does not answer.
const FORCED: Duration = Duration::from_secs(10);
/// A pod without any grace would be forgotten while its processes still run.
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) async fn run(
    runtime: &KubernetesRuntime,
    studio: &StudioId,
    grace: Duration,
    keep_files: bool,
) -> Result<(), RuntimeError> {
    let cluster = &runtime.cluster;
    let selector = names::studio_selector(&runtime.context.installation, studio);
    // What has ended, or never ran, has nothing to do with its grace; nor has an agent that was started again since.
    let grace = match runtime.state(studio) {
        PodState::Running(_) => grace.max(SHORTEST),
        PodState::Ended { .. } | PodState::Absent => SHORTEST,
    };
    // Nobody makes pods any more, before those that are there go.
    cluster.delete::<Deployment>(&selector, None).await?;
    cluster.delete::<ReplicaSet>(&selector, None).await?;
    cluster.delete::<Pod>(&selector, Some(grace)).await?;
    if !gone(runtime, studio, &selector, grace + MARGIN).await? {
        tracing::warn!(%studio, "its node does not end the pod: it is removed without");
        cluster.delete::<Pod>(&selector, Some(Duration::ZERO)).await?;
        if !gone(runtime, studio, &selector, FORCED).await? {
            return Err(RuntimeError::Unavailable {
                what: "removing the studio's pod",
                source: "the cluster has it still".into(),
            });
        }
    }
    cluster.delete::<Service>(&selector, None).await?;
    cluster.delete::<NetworkPolicy>(&selector, None).await?;
    cluster.delete::<Secret>(&selector, None).await?;
    cluster.delete::<ServiceAccount>(&selector, None).await?;
    if !keep_files {
        cluster.delete::<PersistentVolumeClaim>(&selector, None).await?;
    }
    Ok(())
}

/// Whether all pods are gone within the time, as told by the watch and then by the cluster itself.
async fn gone(
    runtime: &KubernetesRuntime,
    studio: &StudioId,
    selector: &str,
    longest: Duration,
) -> Result<bool, RuntimeError> {
    let mut changes = runtime.watched.changes();
    let told = async {
        loop {
            changes.borrow_and_update();
            let there = !runtime.watched.pods(studio).is_empty()
                || runtime.watched.deployment(studio).is_some();
            // An end of the watch is the end of this program.
            if !there || changes.changed().await.is_err() {
                break;
            }
        }
    };
    if tokio::time::timeout(longest, told).await.is_err() {
        return Ok(false);
    }
    // A pod that was made from stale knowledge of its ReplicaSet is found here, and goes with the next look.
    let left = runtime.cluster.find::<Pod>(selector).await?;
    if left.is_empty() {
        return Ok(true);
    }
    runtime.cluster.delete::<Pod>(selector, Some(SHORTEST)).await?;
    Ok(runtime.cluster.find::<Pod>(selector).await?.is_empty())
}
