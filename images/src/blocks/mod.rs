//! Blocks: the typed steps of a template. One file a block; [`catalogue`] lists them all.

mod action;
mod check;
mod code_env;
mod dockerfile;
mod entrypoint;
mod file_sync;
mod jupyterlab;
mod kubernetes;
mod starter_files;
mod streamlit;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::compose::Composition;

/// One step of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Action(action::Action),
    CodeEnv(code_env::CodeEnv),
    Dockerfile(dockerfile::Dockerfile),
    Entrypoint(entrypoint::EntrypointBlock),
    FileSync(file_sync::FileSync),
    #[serde(rename = "jupyterlab")]
    JupyterLab(jupyterlab::JupyterLab),
    Kubernetes(kubernetes::Kubernetes),
    StarterFiles(starter_files::StarterFiles),
    Streamlit(streamlit::Streamlit),
}

/// What every block does.
pub(crate) trait BlockRules {
    /// Checks its fields and adds what it brings. Called once, in the template's order.
    fn apply(&self, composition: &mut Composition<'_>);

    /// What no other block may claim too: kind and value, such as `("port", "8888")`.
    fn claims(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Block {
    /// As in `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Action(_) => "action",
            Self::CodeEnv(_) => "code_env",
            Self::Dockerfile(_) => "dockerfile",
            Self::Entrypoint(_) => "entrypoint",
            Self::FileSync(_) => "file_sync",
            Self::JupyterLab(_) => "jupyterlab",
            Self::Kubernetes(_) => "kubernetes",
            Self::StarterFiles(_) => "starter_files",
            Self::Streamlit(_) => "streamlit",
        }
    }

    pub(crate) fn rules(&self) -> &dyn BlockRules {
        match self {
            Self::Action(block) => block,
            Self::CodeEnv(block) => block,
            Self::Dockerfile(block) => block,
            Self::Entrypoint(block) => block,
            Self::FileSync(block) => block,
            Self::JupyterLab(block) => block,
            Self::Kubernetes(block) => block,
            Self::StarterFiles(block) => block,
            Self::Streamlit(block) => block,
        }
    }
}

/// A kind of block, as administrators choose from.
#[derive(Debug, Clone, Copy)]
pub struct BlockKind {
    pub type_name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// JSON Schema of its parameters, without `type`.
    pub schema: fn() -> Schema,
    /// Parameters to begin with.
    pub example: fn() -> serde_json::Value,
}

/// Every kind of block, in the order in which they are offered.
pub fn catalogue() -> &'static [BlockKind] {
    use serde_json::json;
    &[
        BlockKind {
            type_name: "jupyterlab",
            title: "JupyterLab",
            description: "Notebooks; each code environment becomes a kernel.",
            schema: || schema_for!(jupyterlab::JupyterLab),
            example: || json!({}),
        },
        BlockKind {
            type_name: "streamlit",
            title: "Streamlit",
            description: "A Streamlit application, with an app to start from.",
            schema: || schema_for!(streamlit::Streamlit),
            example: || json!({}),
        },
        BlockKind {
            type_name: "code_env",
            title: "Code environment",
            description: "Python packages, resolved to exact versions, for kernels and applications.",
            schema: || schema_for!(code_env::CodeEnv),
            example: || json!({"name": "python", "packages": ["pandas"]}),
        },
        BlockKind {
            type_name: "starter_files",
            title: "Starter files",
            description: "Files that every new studio begins with.",
            schema: || schema_for!(starter_files::StarterFiles),
            example: || json!({"files": []}),
        },
        BlockKind {
            type_name: "file_sync",
            title: "File synchronisation",
            description: "Which zones a studio sees, where, and what is left out.",
            schema: || schema_for!(file_sync::FileSync),
            example: || json!({"exclusions": [".ipynb_checkpoints/", "__pycache__/"]}),
        },
        BlockKind {
            type_name: "entrypoint",
            title: "Entrypoint",
            description: "A command that runs as long as the studio does, and may own a port.",
            schema: || schema_for!(entrypoint::EntrypointBlock),
            example: || json!({"command": "python3 -m http.server 8000 --bind $ATELIER_LISTEN_ADDRESS", "port": 8000, "expose": true, "label": "Files"}),
        },
        BlockKind {
            type_name: "action",
            title: "Action",
            description: "A command that users run by a click while the studio runs.",
            schema: || schema_for!(action::Action),
            example: || json!({"name": "Run tests", "command_line": "pytest"}),
        },
        BlockKind {
            type_name: "dockerfile",
            title: "Dockerfile statements",
            description: "Statements appended to the image. Needs a runtime with images.",
            schema: || schema_for!(dockerfile::Dockerfile),
            example: || json!({"statements": "RUN echo hello"}),
        },
        BlockKind {
            type_name: "kubernetes",
            title: "Kubernetes",
            description: "Probes, more ports, and parts of the pod's own description.",
            schema: || schema_for!(kubernetes::Kubernetes),
            example: || json!({}),
        },
    ]
}
