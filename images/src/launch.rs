//! What studios of a build are started with. Kept beside the image; later programs must read what earlier ones kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything but what only the start knows: addresses, ids, secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaunchSpec {
    pub env: BTreeMap<String, String>,
    /// Folders below the studio prefix, prepended to PATH.
    pub path: Vec<String>,
    pub entrypoints: Vec<Entrypoint>,
    pub actions: Vec<Action>,
    pub mounts: Vec<Mount>,
    pub starter_files: Vec<StarterFile>,
    /// Ports that have a URL though no entrypoint owns them.
    pub more_ports: Vec<u16>,
    /// Laid over the pod's own description by strategic merge, in runtimes that have pods. Null: nothing.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub pod: serde_json::Value,
}

/// A command that the agent launches and supervises. In `command` and `env`, `${NAME}` stands for a variable of the
/// container; `${ATELIER_STUDIO_SECRET}` in `env` for the studio's own secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrypoint {
    pub id: String,
    pub label: String,
    pub command: Vec<String>,
    pub working_folder: String,
    pub env: BTreeMap<String, String>,
    pub port: Option<u16>,
    pub exposed: bool,
    pub launch_for_web_apps: bool,
    /// `/`, `$request_uri` or `/sub/`: nginx's meaning.
    pub proxied_subpath: String,
    /// Added to the address that a browser opens, such as `lab`.
    pub landing: String,
    pub readiness: Readiness,
    pub restart: Restart,
    /// Header that the proxy adds, so that the studio's secret opens the application.
    pub inject: Option<InjectedHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedHeader {
    pub name: String,
    /// `${ATELIER_STUDIO_SECRET}` stands for the secret.
    pub value: String,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    #[default]
    Always,
    OnFailure,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// As soon as it runs.
    #[default]
    Started,
    Tcp,
    /// Path that may contain `${baseUrl}`; any status from 200 to 399 is ready.
    Http(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub id: String,
    pub name: String,
    pub command_line: String,
    pub working_folder: String,
    pub inputs: Vec<ActionInput>,
    /// 0: none.
    pub timeout_s: u32,
    pub concurrency: Concurrency,
}

/// One field that the user fills in; the command sees it as `ATELIER_INPUT_<NAME>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionInput {
    /// Letters, digits and _, not beginning with a digit.
    pub name: String,
    #[serde(default)]
    pub label: String,
    #[serde(default, rename = "type")]
    pub kind: InputKind,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: String,
    /// Of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    #[default]
    Text,
    Number,
    Boolean,
    Choice,
}

/// What a second run of an action does while the first one runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    #[default]
    Refuse,
    Queue,
    Parallel,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Mount {
    /// Name of a zone kind.
    pub zone: String,
    pub sub_folder: String,
    pub target: String,
    pub one_way: bool,
    pub exclusions: Vec<String>,
    pub live: bool,
    /// Changes of one text on both sides are merged where they do not touch each other.
    #[serde(default)]
    pub merge: bool,
    pub shadow: bool,
}

/// A file that a new studio's zone gets, unless there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StarterFile {
    pub zone: String,
    pub path: String,
    pub source: StarterSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StarterSource {
    /// Path of a resource of the template.
    Resource(String),
    /// The text itself.
    Text(String),
}
