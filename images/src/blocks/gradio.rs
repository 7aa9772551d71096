//! `gradio`: a Gradio application, launched for web apps too.
//!
//! Gradio reads its address, port and prefix from the environment, so that an application only has to say `launch()`. The
//! proxy takes the prefix away: Gradio puts it before what it answers, and does not expect it in what it is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check, python_app::PythonApp};
use crate::{
    compose::Composition,
    launch::{Entrypoint, Readiness, Restart},
};

const NAME: &str = "gradio";
const DEFAULT_VERSION: &str = "6.31.0";
const STARTER_APP: &str = include_str!("../../blocks/gradio/app.py");

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gradio {
    /// Version on `PyPI`, for an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Name of a `code_env` that has gradio among its packages; empty: an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_env: Option<String>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    7860
}

impl BlockRules for Gradio {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let framework = PythonApp {
            name: NAME,
            version: self.version.as_deref().unwrap_or(DEFAULT_VERSION),
            more_packages: &[],
            code_env: self.code_env.as_deref(),
        };
        let folder = framework.install(at);
        let app = framework.starter(at, "app.py", STARTER_APP);
        let port = self.port;
        let prefix = format!("${{DKU_CODE_STUDIO_BROWSER_PATH_{port}}}");
        at.launch.entrypoints.push(Entrypoint {
            id: NAME.into(),
            label: "Gradio".into(),
            command: vec![format!("${{ATELIER_PREFIX}}/{folder}/bin/python"), "-u".into(), app],
            working_folder: String::new(),
            env: [
                ("GRADIO_SERVER_NAME", "${ATELIER_LISTEN_ADDRESS}"),
                ("GRADIO_SERVER_PORT", &port.to_string()),
                ("GRADIO_ROOT_PATH", &prefix),
                ("GRADIO_ANALYTICS_ENABLED", "False"),
                ("GRADIO_TEMP_DIR", "${HOME}/.cache/gradio"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            port: Some(port),
            exposed: true,
            launch_for_web_apps: true,
            proxied_subpath: "/".into(),
            landing: String::new(),
            readiness: Readiness::Http("/config".into()),
            restart: Restart::Always,
            inject: None,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("port", self.port.to_string()), ("type", NAME.into()), ("label", NAME.into())]
    }
}
