//! Where studios run. One trait in domain words, one driver a folder, one table.

pub mod fake;
pub mod kubernetes;
pub mod process;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    build::ImageRef,
    ids::{Login, ProjectKey, StudioId},
};

/// What to run: one pod (or its stand-in) of a studio.
#[derive(Debug, Clone)]
pub struct PodSpec {
    pub studio: StudioId,
    pub project: ProjectKey,
    pub owner: Login,
    /// Incarnation: a pod of another epoch is another pod, and replaced.
    pub epoch: u64,
    pub image: ImageRef,
    /// For the agent, beside those that the driver adds (addresses, pod name and id): secrets among them, never logged.
    pub agent_env: BTreeMap<String, String>,
    /// The runtime itself gives the agent what it shows ([`Runtime::attests`]); else it is in `agent_env`.
    pub attested: bool,
    /// Ports that are reachable from the proxy.
    pub ports: Vec<u16>,
    /// The template's words about the pod itself, for runtimes that have pods: laid over theirs by strategic merge. Null: none.
    pub overrides: serde_json::Value,
    /// From SIGTERM to SIGKILL.
    pub termination_grace: Duration,
}

/// Facts that a driver gives a pod when it is made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placement {
    pub pod_name: String,
    /// A new pod has a new one.
    pub pod_uid: String,
    pub node_name: String,
    pub namespace: String,
    /// Where the proxy reaches the ports directly; `None`: by tunnel only.
    pub address: Option<IpAddr>,
    /// What servers in the pod should listen on.
    pub listen_address: IpAddr,
    /// Absolute, as seen in the pod.
    pub workspace: String,
    /// Absolute, as seen in the pod.
    pub home: String,
    /// Root of what the image brings, as seen in the pod (`/opt/studio` in images).
    pub studio_prefix: String,
}

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// There is none.
    Absent,
    /// Made, and its agent process runs (or is about to).
    Running(Placement),
    /// It ended. `reason` is for people: exit code or signal, last words.
    Ended { placement: Placement, reason: String },
}

/// Whose pod has shown a credential that the runtime gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    pub studio: StudioId,
    pub epoch: u64,
    pub pod_uid: String,
}

/// Something a driver could not do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Asking again won't help: `what` failed because of `why`; `hint` says what to do.
    #[error("{what}: {why}")]
    Refused { what: &'static str, why: String, hint: String },
    /// Asking again may help.
    #[error("{what}")]
    Unavailable {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A driver. All calls are idempotent and may be repeated after a crash of the control plane at any point.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Its name in configurations: `process`, `docker`, `kubernetes`.
    fn name(&self) -> &'static str;

    /// Makes the pod exist in this epoch; a pod of an older epoch is removed first. Returns as soon as it is made, not when
    /// its agent has said hello.
    async fn ensure_studio(&self, spec: &PodSpec) -> Result<Placement, RuntimeError>;

    /// How the studio's pod is now.
    async fn observe_studio(&self, studio: &StudioId) -> Result<PodState, RuntimeError>;

    /// Ends the pod: SIGTERM, `grace`, SIGKILL; then removes all that was made for it. `keep_files`: what the studio wrote
    /// stays where the driver can, and its next pod finds it. Well when there is none.
    async fn remove_studio(
        &self,
        studio: &StudioId,
        grace: Duration,
        keep_files: bool,
    ) -> Result<(), RuntimeError>;

    /// Whether what a studio wrote outlives its pod, however that ends: its next pod has it then, and copies would be second ones.
    fn keeps_files(&self) -> bool {
        true
    }

    /// Every pod of this installation, also those that the store no longer knows.
    async fn list_studios(&self) -> Result<Vec<(StudioId, PodState)>, RuntimeError>;

    /// Whether it gives its pods something to show who they are, so that agents need no token of ours.
    async fn attests(&self) -> Result<bool, RuntimeError> {
        Ok(false)
    }

    /// Whose pod shows this; `None`: nobody's that is there now. Asks once, and within seconds: the agent comes again.
    async fn attest(&self, _credential: &str) -> Result<Option<Attested>, RuntimeError> {
        Ok(None)
    }

    /// Resolves as soon as something may have changed for a studio; the caller observes then. Cancel safe.
    async fn changed(&self) -> StudioId;

    /// Lets go of everything without ending pods.
    async fn close(&self, cancel: CancellationToken);
}
