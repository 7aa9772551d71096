//! Why a pod does not begin to run, from its conditions, its container's state and its Deployment's: pure.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
};

use super::state;

/// Where a pod that does not run yet stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is wrong; it goes on by itself.
    Goes(Stage),
    /// Something is wrong that may pass: how it is said when the time is over.
    Hangs { stage: Stage, why: String, hint: &'static str },
    /// It won't come by waiting.
    Failed { what: &'static str, why: String, hint: &'static str },
}

/// What a pod waits for; each has its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Node,
    /// The image, its volumes, its network.
    Container,
}

const QUOTA: &str = "ask for a larger quota of the namespace, or for less in the configuration";
const NODE: &str =
    "ask for less CPU, memory or GPUs in the configuration, or add nodes to the cluster";
const IMAGE: &str =
    "check the image's name, the registry's address and the pull secret of the configuration";
const POD: &str = "look at the configuration's pod settings, and at the image's user and programs";
const CRASH: &str = "look at its last words; try the image with less in it";

/// Reasons of a waiting container that no waiting mends.
/// (<https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/kubelet/images/types.go> and `kuberuntime`)
const FATAL: &[&str] = &[
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// Words of a node that is only slow: it tries again by itself.
const PASSING: &[&str] = &["failed to sync", "timed out waiting for the condition"];
/// Words of registries and runtimes for an image that will not be there later either.
const NO_SUCH_IMAGE: &[&str] = &[
    "not found",
    "manifest unknown",
    "unauthorized",
    "denied",
    "authorization failed",
    "403",
    "401",
];

/// `pod`: the newest of this incarnation, which does not run.
pub(super) fn standing(deployment: Option<&Deployment>, pod: Option<&Pod>) -> Standing {
    match pod {
        None => without_pod(deployment),
        Some(pod) => of_pod(pod),
    }
}

fn without_pod(deployment: Option<&Deployment>) -> Standing {
    let conditions = deployment.and_then(|it| it.status.as_ref()?.conditions.as_ref());
    let refused = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    match refused.and_then(|condition| condition.message.clone()) {
        Some(why) if why.contains("exceeded quota") || why.contains("must specify") => {
            Standing::Failed {
                what: "the namespace's quota does not allow the pod",
                why,
                hint: QUOTA,
            }
        }
        Some(why) => Standing::Failed { what: "the cluster refuses the pod", why, hint: POD },
        None => Standing::Goes(Stage::Node),
    }
}

fn of_pod(pod: &Pod) -> Standing {
    if let Some(end) = state::end(pod) {
        let why = state::end_in_words(pod, end);
        return Standing::Failed { what: "the agent ended at once", why, hint: CRASH };
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let unscheduled = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        let why = condition.message.clone().unwrap_or_else(|| "no node was found".into());
        return Standing::Hangs { stage: Stage::Node, why, hint: NODE };
    }
    let waiting = state::container(pod).and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let Some(waiting) = waiting else {
        let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        return Standing::Goes(if placed { Stage::Container } else { Stage::Node });
    };
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let why = match waiting.message.as_deref() {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        Some(_) | None => reason.to_owned(),
    };
    let image = reason.contains("Image");
    let (what, hint) = if image {
        ("the image can't be pulled", IMAGE)
    } else {
        ("the container can't be made", POD)
    };
    let hopeless = (FATAL.contains(&reason) && !PASSING.iter().any(|words| why.contains(words)))
        || (image && NO_SUCH_IMAGE.iter().any(|words| why.to_ascii_lowercase().contains(words)));
    match reason {
        _ if hopeless => Standing::Failed { what, why, hint },
        "ContainerCreating" | "PodInitializing" | "" => Standing::Goes(Stage::Container),
        _ => Standing::Hangs { stage: Stage::Container, why, hint },
    }
}

/// The last complaint among a pod's events: a mount that fails, a network that can't be set up.
pub(super) fn last_complaint(events: &[Event]) -> Option<String> {
    let when = |event: &&Event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0.to_string());
        last.or_else(|| event.event_time.as_ref().map(|time| time.0.to_string()))
    };
    let last =
        events.iter().filter(|event| event.type_.as_deref() == Some("Warning")).max_by_key(when)?;
    let reason = last.reason.as_deref().unwrap_or_default();
    Some(format!("{reason}: {}", last.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
