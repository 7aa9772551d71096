//! `entrypoint`: a command that runs as long as the studio does, and may own a port.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{Entrypoint, Readiness, Restart},
    plan::FileEntry,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntrypointBlock {
    /// A command line for the shell. Servers listen on `$ATELIER_LISTEN_ADDRESS`.
    command: String,
    /// Name for people; the tab's title where it is exposed.
    #[serde(default)]
    label: String,
    /// Resources that are put into `$ATELIER_PREFIX/scripts/`, executable.
    #[serde(default)]
    scripts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024))]
    port: Option<u16>,
    /// A tab of the studio's view.
    #[serde(default)]
    expose: bool,
    #[serde(default)]
    launch_for_web_apps: bool,
    /// `/`: the prefix is taken away; `$request_uri`: the address goes on unchanged; `/sub/`: the prefix becomes `/sub/`.
    #[serde(default = "default_subpath")]
    proxied_subpath: String,
    /// Path that answers without an error when the application is ready; may contain `${baseUrl}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    readiness_url: Option<String>,
    #[serde(default)]
    restart: Restart,
    /// Relative to the workspace.
    #[serde(default)]
    working_folder: String,
}

fn default_subpath() -> String {
    "/".to_owned()
}

impl EntrypointBlock {
    fn title(&self) -> String {
        if self.label.is_empty() {
            self.command.chars().take(40).collect()
        } else {
            self.label.clone()
        }
    }
}

impl BlockRules for EntrypointBlock {
    fn apply(&self, at: &mut Composition<'_>) {
        check::command(at, "command", &self.command);
        check::relative_path(at, "working_folder", &self.working_folder, true);
        check::subpath(at, "proxied_subpath", &self.proxied_subpath);
        if self.expose {
            check::label(at, "label", &self.label);
        }
        let readiness = match (&self.readiness_url, self.port) {
            (Some(_), None) => {
                at.problem("readiness_url", "needs a port");
                Readiness::Started
            }
            (Some(url), Some(_)) => check::probe_url(at, "readiness_url", url),
            (None, Some(_)) => Readiness::Tcp,
            (None, None) => Readiness::Started,
        };
        match self.port {
            Some(port) => check::port(at, "port", port),
            None if self.expose => at.problem("port", "what is exposed needs a port"),
            None => (),
        }
        let mut files = Vec::new();
        for (place, path) in self.scripts.iter().enumerate() {
            let field = format!("scripts[{place}]");
            check::relative_path(at, &field, path, false);
            if let Some(content) = at.resource(&field, path) {
                files.push(FileEntry {
                    path: format!("scripts/{path}"),
                    content,
                    executable: true,
                });
            }
        }
        let id = check::slug(&self.title());
        if !files.is_empty() {
            at.files(&format!("scripts-{id}"), files);
        }
        at.launch.entrypoints.push(Entrypoint {
            id,
            label: self.title(),
            command: vec!["/bin/sh".into(), "-c".into(), self.command.clone()],
            working_folder: self.working_folder.clone(),
            env: BTreeMap::new(),
            port: self.port,
            exposed: self.expose,
            launch_for_web_apps: self.launch_for_web_apps,
            proxied_subpath: self.proxied_subpath.clone(),
            landing: String::new(),
            readiness,
            restart: self.restart,
            inject: None,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        let port = self.port.map(|port| ("port", port.to_string()));
        port.into_iter().chain([("label", check::slug(&self.title()))]).collect()
    }
}
