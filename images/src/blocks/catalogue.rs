//! The kinds of blocks that administrators choose from.

use schemars::{Schema, schema_for};
use serde_json::json;

use super::{
    action, code_env, dockerfile, entrypoint, external, file_sync, gradio, jupyterlab, kubernetes,
    nginx, rstudio, starter_files, streamlit, voila, vscode,
};

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
pub const fn catalogue() -> &'static [BlockKind] {
    &KINDS
}

static KINDS: [BlockKind; 15] = [
    BlockKind {
        type_name: "jupyterlab",
        title: "JupyterLab",
        description: "Notebooks; each code environment becomes a kernel.",
        schema: || schema_for!(jupyterlab::JupyterLab),
        example: || json!({}),
    },
    BlockKind {
        type_name: "vscode",
        title: "VS Code",
        description: "code-server with extensions; each code environment becomes an interpreter.",
        schema: || schema_for!(vscode::VsCode),
        example: || json!({"settings": {"files.autoSave": "afterDelay"}}),
    },
    BlockKind {
        type_name: "rstudio",
        title: "RStudio Server",
        description: "For R, which the base image has; its package comes from an address or a resource.",
        schema: || schema_for!(rstudio::RStudio),
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
        type_name: "gradio",
        title: "Gradio",
        description: "A Gradio application, with an app to start from.",
        schema: || schema_for!(gradio::Gradio),
        example: || json!({}),
    },
    BlockKind {
        type_name: "voila",
        title: "Voila",
        description: "A notebook as an application, with one to start from.",
        schema: || schema_for!(voila::Voila),
        example: || json!({}),
    },
    BlockKind {
        type_name: "code_env",
        title: "Code environment",
        description: "Packages of Python or R, resolved to exact versions, for kernels and applications.",
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
        example: || json!({"statements": "RUN echo hello", "as_root": true}),
    },
    BlockKind {
        type_name: "nginx",
        title: "Files by HTTP",
        description: "Folders of zones, and servers of the studio, by nginx.",
        schema: || schema_for!(nginx::Nginx),
        example: || json!({"folders": [{"zone": "code_studio-resources", "path": "/"}]}),
    },
    BlockKind {
        type_name: "kubernetes",
        title: "Kubernetes",
        description: "Probes, more ports, and parts of the pod's own description.",
        schema: || schema_for!(kubernetes::Kubernetes),
        example: || json!({}),
    },
    BlockKind {
        type_name: "external",
        title: "A block of your own",
        description: "An executable of the administrator changes the template and what studios launch.",
        schema: || schema_for!(external::External),
        example: || json!({"name": "my-block"}),
    },
];
