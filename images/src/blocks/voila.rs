//! `voila`: a notebook as an application, launched for web apps too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check, python_app::PythonApp};
use crate::{
    compose::Composition,
    launch::{Entrypoint, Readiness, Restart},
};

const NAME: &str = "voila";
const DEFAULT_VERSION: &str = "0.5.13";
/// ipykernel 7 is kept out: with it, two pages of four were seen to wait for ever beside a kernel that had nothing to do.
const MORE_PACKAGES: &[&str] = &["ipykernel<7", "ipywidgets"];
const STARTER_APP: &str = include_str!("../../blocks/voila/app.ipynb");

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Voila {
    /// Version on `PyPI`, for an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Name of a `code_env` that has voila, ipykernel and ipywidgets among its packages; empty: an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_env: Option<String>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    8866
}

impl BlockRules for Voila {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let framework = PythonApp {
            name: NAME,
            version: self.version.as_deref().unwrap_or(DEFAULT_VERSION),
            more_packages: MORE_PACKAGES,
            code_env: self.code_env.as_deref(),
        };
        let folder = framework.install(at);
        let app = framework.starter(at, "app.ipynb", STARTER_APP);
        let port = self.port;
        // The proxy checks origins, and knows the one that is right.
        let command = [
            &format!("${{ATELIER_PREFIX}}/{folder}/bin/python"),
            "-m",
            NAME,
            "--no-browser",
            "--Voila.ip=${ATELIER_LISTEN_ADDRESS}",
            &format!("--port={port}"),
            "--Voila.port_retries=0",
            &format!("--Voila.base_url=${{DKU_CODE_STUDIO_BROWSER_PATH_{port}}}/"),
            &app,
        ];
        at.launch.entrypoints.push(Entrypoint {
            id: NAME.into(),
            label: "Voila".into(),
            command: command.map(ToOwned::to_owned).into(),
            working_folder: String::new(),
            // Kernels of the template's code environments, beside the framework's own.
            env: [("JUPYTER_PATH".to_owned(), "${ATELIER_PREFIX}/share/jupyter".to_owned())].into(),
            port: Some(port),
            exposed: true,
            launch_for_web_apps: true,
            proxied_subpath: "$request_uri".into(),
            landing: String::new(),
            // A page runs the notebook; this does not.
            readiness: Readiness::Http("${baseUrl}/voila/static/voila.js".into()),
            restart: Restart::Always,
            inject: None,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("port", self.port.to_string()), ("type", NAME.into()), ("label", NAME.into())]
    }
}
