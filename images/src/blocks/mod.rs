//! Blocks: the typed steps of a template. One file a block; [`catalogue`] lists them all.

mod action;
mod catalogue;
mod check;
mod code_env;
mod dockerfile;
mod entrypoint;
mod external;
mod file_sync;
mod gradio;
mod jupyterlab;
pub(crate) mod kubernetes;
mod nginx;
mod python_app;
mod rstudio;
mod starter_files;
mod streamlit;
mod voila;
mod vscode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::catalogue::{BlockKind, catalogue};
use crate::compose::Composition;

/// One step of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Action(action::Action),
    CodeEnv(code_env::CodeEnv),
    Dockerfile(dockerfile::Dockerfile),
    Entrypoint(entrypoint::EntrypointBlock),
    External(external::External),
    FileSync(file_sync::FileSync),
    Gradio(gradio::Gradio),
    #[serde(rename = "jupyterlab")]
    JupyterLab(jupyterlab::JupyterLab),
    Kubernetes(kubernetes::Kubernetes),
    Nginx(nginx::Nginx),
    #[serde(rename = "rstudio")]
    RStudio(rstudio::RStudio),
    StarterFiles(starter_files::StarterFiles),
    Streamlit(streamlit::Streamlit),
    Voila(voila::Voila),
    #[serde(rename = "vscode")]
    VsCode(vscode::VsCode),
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
            Self::External(_) => "external",
            Self::FileSync(_) => "file_sync",
            Self::Gradio(_) => "gradio",
            Self::JupyterLab(_) => "jupyterlab",
            Self::Kubernetes(_) => "kubernetes",
            Self::Nginx(_) => "nginx",
            Self::RStudio(_) => "rstudio",
            Self::StarterFiles(_) => "starter_files",
            Self::Streamlit(_) => "streamlit",
            Self::Voila(_) => "voila",
            Self::VsCode(_) => "vscode",
        }
    }

    pub(crate) fn rules(&self) -> &dyn BlockRules {
        match self {
            Self::Action(block) => block,
            Self::CodeEnv(block) => block,
            Self::Dockerfile(block) => block,
            Self::Entrypoint(block) => block,
            Self::External(block) => block,
            Self::FileSync(block) => block,
            Self::Gradio(block) => block,
            Self::JupyterLab(block) => block,
            Self::Kubernetes(block) => block,
            Self::Nginx(block) => block,
            Self::RStudio(block) => block,
            Self::StarterFiles(block) => block,
            Self::Streamlit(block) => block,
            Self::Voila(block) => block,
            Self::VsCode(block) => block,
        }
    }
}
