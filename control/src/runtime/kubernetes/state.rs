//! How a studio's pod is, from what the cluster tells: pure.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
};
use serde::{Deserialize, Serialize};

use super::{
    names::{CONTAINER, EPOCH, PLACEMENT},
    pod,
};
use crate::runtime::{Placement, PodState};

/// The pod that became the studio, as kept on its Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    pub epoch: u64,
    pub placement: Placement,
}

/// What was kept of the Deployment's present incarnation.
pub(super) fn placed(deployment: &Deployment) -> Option<Placed> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    let placed: Placed = serde_json::from_str(annotations.get(PLACEMENT)?).ok()?;
    (annotations.get(EPOCH).and_then(|epoch| epoch.parse().ok()) == Some(placed.epoch))
        .then_some(placed)
}

/// A studio as its Deployment and pods tell. What has not begun to run is absent still.
pub(super) fn of_studio(
    deployment: Option<&Deployment>,
    pods: &[Arc<Pod>],
    direct: bool,
) -> PodState {
    let Some(Placed { placement, .. }) = deployment.and_then(placed) else {
        let newest = pods.iter().max_by_key(|pod| (epoch(pod), created(pod)));
        return match newest {
            Some(pod) => of_pod(pod, direct).unwrap_or(PodState::Absent),
            None => PodState::Absent,
        };
    };
    match pods.iter().find(|pod| uid(pod) == placement.pod_uid) {
        Some(pod) => of_pod(pod, direct)
            .unwrap_or(PodState::Ended { placement, reason: "its container is gone".into() }),
        None => PodState::Ended {
            placement,
            reason: "it was evicted, or deleted by somebody else".into(),
        },
    }
}

/// `None`: it has not begun to run.
pub(super) fn of_pod(pod: &Pod, direct: bool) -> Option<PodState> {
    let placement = placement(pod, direct)?;
    if let Some(end) = end(pod) {
        return Some(PodState::Ended { placement, reason: end_in_words(pod, end) });
    }
    let phase = pod.status.as_ref()?.phase.as_deref().unwrap_or_default();
    if phase == "Failed" || phase == "Succeeded" {
        return Some(PodState::Ended { placement, reason: pod_message(pod) });
    }
    container(pod)?.state.as_ref()?.running.as_ref()?;
    Some(PodState::Running(placement))
}

/// Facts that are known once a pod runs.
fn placement(pod: &Pod, direct: bool) -> Option<Placement> {
    let address: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let everywhere: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    Some(Placement {
        pod_name: pod.metadata.name.clone()?,
        pod_uid: uid(pod).to_owned(),
        node_name: pod.spec.as_ref()?.node_name.clone()?,
        namespace: pod.metadata.namespace.clone()?,
        address: direct.then_some(address),
        listen_address: everywhere,
        workspace: pod::WORKSPACE.into(),
        home: pod::HOME.into(),
        studio_prefix: pod::STUDIO_PREFIX.into(),
    })
}

/// How its container ended, now or before it was started again: an agent that is started again is not the studio's any more.
pub(super) fn end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let status = container(pod)?;
    let ended = |state: &'_ Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().is_some_and(|state| state.terminated.is_some())
    };
    let state = if ended(&status.state) { &status.state } else { &status.last_state };
    state.as_ref()?.terminated.as_ref()
}

/// Why it ended, for people, with its last words.
pub(super) fn end_in_words(pod: &Pod, end: &ContainerStateTerminated) -> String {
    let how = if end.reason.as_deref() == Some("OOMKilled") {
        match memory_limit(pod) {
            Some(limit) => format!("it was killed, out of memory: its limit is {limit}"),
            None => "it was killed: its node was out of memory".to_owned(),
        }
    } else if let Some(signal) = end.signal.filter(|signal| *signal != 0) {
        format!("signal {signal}")
    } else if end.exit_code > 128 {
        format!("signal {}", end.exit_code - 128)
    } else {
        format!("exit code {}", end.exit_code)
    };
    let words = end.message.as_deref().unwrap_or_default().trim();
    // The agent's own last message is its death certificate, for programs.
    if words.is_empty() || words.starts_with('{') {
        how
    } else {
        format!("{how}; its last words: {words}")
    }
}

fn pod_message(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let said = [
        status.and_then(|status| status.reason.clone()),
        status.and_then(|status| status.message.clone()),
    ];
    let said: Vec<String> = said.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    if said.is_empty() { "it ended".into() } else { said.join(": ") }
}

fn memory_limit(pod: &Pod) -> Option<&str> {
    let container =
        pod.spec.as_ref()?.containers.iter().find(|container| container.name == CONTAINER)?;
    Some(&container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0)
}

pub(super) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn epoch(pod: &Pod) -> Option<u64> {
    pod.metadata.labels.as_ref()?.get(EPOCH)?.parse().ok()
}

/// Orders pods by age; the text form of times is one of UTC.
pub(super) fn created(pod: &Pod) -> Option<String> {
    Some(pod.metadata.creation_timestamp.as_ref()?.0.to_string())
}

#[cfg(test)]
mod tests;
