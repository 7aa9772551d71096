//! What an agent is told to run, in our own words; `agents/` turns it into the protocol's.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::zone::ZoneRef;

/// Everything that one pod of a studio runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Rises with every change within an epoch.
    pub generation: u64,
    pub env: BTreeMap<String, String>,
    /// Variables in whose values the agent expands `${K8S_POD_NAME}`.
    pub expanded_env: BTreeMap<String, String>,
    /// Absolute, as seen in the pod.
    pub workspace: String,
    pub home: String,
    pub mounts: Vec<Mount>,
    pub entrypoints: Vec<Entrypoint>,
    pub actions: Vec<Action>,
    pub listen_address: IpAddr,
    /// Reachable by tunnel beside the entrypoints' own.
    pub tunnel_ports: Vec<u16>,
    pub drain_grace: Duration,
    pub log_limit_bytes: u64,
}

/// A zone, or a folder of it, in the studio.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Mount {
    /// Unique in the studio, such as `notebooks`.
    pub id: String,
    pub zone: ZoneRef,
    /// Folder of the zone; empty: all of it.
    pub sub_folder: String,
    /// Absolute, or relative to the workspace.
    pub target: String,
    /// Server → studio only.
    pub one_way: bool,
    pub exclusions: Vec<String>,
    pub live: bool,
    /// What both sides changed in a text is merged where that is clean.
    #[serde(default)]
    pub merge: bool,
    pub shadow: bool,
}

/// The id of the mount that has a target: targets are unique in a studio.
pub fn mount_id(target: &str) -> String {
    target.trim_matches('/').replace('/', "-")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrypoint {
    pub id: String,
    pub label: String,
    pub command: Vec<String>,
    /// Absolute, or relative to the workspace; empty: the workspace.
    pub working_folder: String,
    pub env: BTreeMap<String, String>,
    pub port: Option<u16>,
    /// A tab of the studio's *View*.
    pub exposed: bool,
    pub readiness: Option<Readiness>,
    pub restart: RestartPolicy,
    pub stop_grace: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub probe: Probe,
    pub period: Duration,
    /// Of one attempt.
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Tcp,
    Http {
        /// May contain `${baseUrl}`.
        url: String,
        base_url: String,
        /// Inclusive.
        status_from: u16,
        status_to: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub id: String,
    pub name: String,
    pub command_line: String,
    pub working_folder: String,
    pub timeout: Option<Duration>,
    pub concurrency: Concurrency,
}

/// What a second run of a running action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    Refuse,
    Queue,
    Parallel,
}
