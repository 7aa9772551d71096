//! `streamlit`: a Streamlit application, launched for web apps too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{Entrypoint, Readiness, Restart, StarterFile, StarterSource},
};

const FOLDER: &str = "streamlit";
const DEFAULT_VERSION: &str = "1.50.0";
const INSTALL: &str = include_str!("../../blocks/streamlit/install.sh");
const STARTER_APP: &str = include_str!("../../blocks/streamlit/app.py");

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Streamlit {
    /// Version on PyPI, for an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Name of a `code_env` that has streamlit among its packages; empty: an environment of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_env: Option<String>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    8501
}

impl BlockRules for Streamlit {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let folder = if let Some(name) = &self.code_env {
            check::simple_name(at, "code_env", name);
            super::code_env::folder_of(name)
        } else {
            let version = self.version.as_deref().unwrap_or(DEFAULT_VERSION);
            check::simple_name(at, "version", version);
            let env = [("STREAMLIT_VERSION".to_owned(), version.to_owned())].into();
            at.independent_script("streamlit", FOLDER, INSTALL, env, BTreeMap::new());
            FOLDER.to_owned()
        };
        let port = self.port;
        // The proxy checks origins, and knows the one that is right; Streamlit only knows its own address.
        let command = [
            &format!("${{ATELIER_PREFIX}}/{folder}/bin/python"),
            "-m",
            "streamlit",
            "run",
            "${ATELIER_WORKSPACE}/code_studio-versioned/streamlit/app.py",
            "--server.address=${ATELIER_LISTEN_ADDRESS}",
            &format!("--server.port={port}"),
            &format!("--server.baseUrlPath=${{DKU_CODE_STUDIO_BROWSER_PATH_{port}}}"),
            "--server.headless=true",
            "--server.enableCORS=false",
            "--server.enableXsrfProtection=false",
            "--server.fileWatcherType=poll",
            "--browser.gatherUsageStats=false",
        ];
        at.launch.entrypoints.push(Entrypoint {
            id: "streamlit".into(),
            label: "Streamlit".into(),
            command: command.map(ToOwned::to_owned).into(),
            working_folder: String::new(),
            env: BTreeMap::new(),
            port: Some(port),
            exposed: true,
            launch_for_web_apps: true,
            proxied_subpath: "$request_uri".into(),
            landing: String::new(),
            readiness: Readiness::Http("${baseUrl}/_stcore/health".into()),
            restart: Restart::Always,
            inject: None,
        });
        at.launch.starter_files.push(StarterFile {
            zone: "code_studio-versioned".into(),
            path: "streamlit/app.py".into(),
            source: StarterSource::Text(STARTER_APP.to_owned()),
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![
            ("port", self.port.to_string()),
            ("type", "streamlit".into()),
            ("label", "streamlit".into()),
        ]
    }
}
