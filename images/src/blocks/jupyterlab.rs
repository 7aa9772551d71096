//! `jupyterlab`: JupyterLab from PyPI in a folder of its own.
//!
//! Kernels are found by `JUPYTER_PATH`, where every `code_env` block puts one, before or after this block.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{Entrypoint, InjectedHeader, Readiness, Restart},
};

const FOLDER: &str = "jupyterlab";
const DEFAULT_VERSION: &str = "4.4.9";
const INSTALL: &str = include_str!("../../blocks/jupyterlab/install.sh");

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JupyterLab {
    /// Version on PyPI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// More pip modules for the server itself, such as extensions.
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    8888
}

impl BlockRules for JupyterLab {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let version = self.version.as_deref().unwrap_or(DEFAULT_VERSION);
        check::simple_name(at, "version", version);
        for (place, module) in self.modules.iter().enumerate() {
            super::code_env::check_requirement(at, &format!("modules[{place}]"), module);
        }
        let env: BTreeMap<_, _> = [
            ("JUPYTERLAB_VERSION".to_owned(), version.to_owned()),
            ("MODULES".to_owned(), self.modules.join("\n")),
        ]
        .into();
        at.independent_script("jupyterlab", FOLDER, INSTALL, env, BTreeMap::new());
        let (port, base) = (self.port, format!("${{DKU_CODE_STUDIO_BROWSER_PATH_{}}}", self.port));
        let command = [
            "${ATELIER_PREFIX}/jupyterlab/bin/jupyter",
            "lab",
            "--no-browser",
            "--ServerApp.ip=${ATELIER_LISTEN_ADDRESS}",
            &format!("--ServerApp.port={port}"),
            "--ServerApp.port_retries=0",
            &format!("--ServerApp.base_url={base}/"),
            "--ServerApp.root_dir=${ATELIER_WORKSPACE}",
            // A machine of its own, or a container: who it runs as is the runtime's matter.
            "--ServerApp.allow_root=true",
            "--ServerApp.allow_remote_access=true",
            "--ServerApp.trust_xheaders=true",
            "--ServerApp.quit_button=false",
            "--ContentsManager.allow_hidden=true",
        ];
        at.launch.entrypoints.push(Entrypoint {
            id: "jupyterlab".into(),
            label: "JupyterLab".into(),
            command: command.map(ToOwned::to_owned).into(),
            working_folder: String::new(),
            // By the environment, because everybody may read command lines.
            env: [
                ("JUPYTER_TOKEN", "${ATELIER_STUDIO_SECRET}"),
                ("JUPYTER_PATH", "${ATELIER_PREFIX}/share/jupyter"),
                (
                    "JUPYTERLAB_SETTINGS_DIR",
                    "${ATELIER_WORKSPACE}/user-versioned/jupyterlab/user-settings",
                ),
                ("JUPYTERLAB_WORKSPACES_DIR", "${HOME}/.jupyter/lab/workspaces"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            port: Some(port),
            exposed: true,
            launch_for_web_apps: false,
            proxied_subpath: "$request_uri".into(),
            landing: "lab".into(),
            readiness: Readiness::Http("${baseUrl}/api".into()),
            restart: Restart::Always,
            inject: Some(InjectedHeader {
                name: "authorization".into(),
                value: "token ${ATELIER_STUDIO_SECRET}".into(),
            }),
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![
            ("port", self.port.to_string()),
            ("type", "jupyterlab".into()),
            ("label", "jupyterlab".into()),
        ]
    }
}
