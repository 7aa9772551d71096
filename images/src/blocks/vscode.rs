//! `vscode`: code-server from npm in a folder of its own; extensions in another, so that one more does not build it anew.
//!
//! Each `code_env` of the template, before or after this block, is an interpreter and a debug configuration: what lies in
//! `share/atelier/interpreters` is read when it starts. Settings are in the user's own versioned zone.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{Entrypoint, InjectedHeader, Readiness, Restart, StarterFile, StarterSource},
    plan::{FileContent, FileEntry},
};

const FOLDER: &str = "vscode";
const EXTENSIONS_FOLDER: &str = "vscode-extensions";
const DEFAULT_VERSION: &str = "4.139.1";
/// What code-server is made for: it refuses every other.
const NODE_VERSION: &str = "24";
const INSTALL: &str = include_str!("../../blocks/vscode/install.sh");
const INSTALL_EXTENSIONS: &str = include_str!("../../blocks/vscode/extensions.sh");
const EXTENSIONS_PROGRAM: &str = include_str!("../../blocks/vscode/extensions.py");
const START: &str = include_str!("../../blocks/vscode/start.js");
const START_PATH: &str = "share/atelier/vscode-start.js";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VsCode {
    /// Version of code-server on npm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Each by its name on Open VSX (`publisher.name`, `publisher.name@version`), an address, or a resource that ends in `.vsix`.
    #[serde(default)]
    extensions: Vec<String>,
    /// Settings that a user begins with; their own are never changed.
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    8181
}

impl BlockRules for VsCode {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let version = self.version.as_deref().unwrap_or(DEFAULT_VERSION);
        check::simple_name(at, "version", version);
        let env = [("CODE_SERVER_VERSION", version), ("NODE_VERSION", NODE_VERSION)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        at.independent_script(FOLDER, FOLDER, INSTALL, env.into(), BTreeMap::new());
        self.install_extensions(at);
        at.files(
            "vscode-start",
            vec![FileEntry {
                path: START_PATH.into(),
                content: FileContent(START.as_bytes().into()),
                executable: false,
            }],
        );
        if !self.settings.is_empty() {
            let text = serde_json::to_string_pretty(&self.settings);
            at.launch.starter_files.push(StarterFile {
                zone: "user-versioned".into(),
                path: "vscode/settings.json".into(),
                source: StarterSource::Text(text.expect("a JSON value can be written")),
            });
        }
        at.launch.entrypoints.push(self.entrypoint());
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![
            ("port", self.port.to_string()),
            ("type", "vscode".into()),
            ("label", "vs-code".into()),
        ]
    }
}

impl VsCode {
    fn install_extensions(&self, at: &mut Composition<'_>) {
        if self.extensions.is_empty() {
            return;
        }
        let program = FileContent(EXTENSIONS_PROGRAM.as_bytes().into());
        let mut context: BTreeMap<String, FileContent> = [("extensions.py".into(), program)].into();
        for (place, wanted) in self.extensions.iter().enumerate() {
            let field = format!("extensions[{place}]");
            if is_address(wanted) {
                continue;
            }
            if is_resource(wanted) {
                check::relative_path(at, &field, wanted, false);
                if let Some(content) = at.resource(&field, wanted) {
                    context.insert(wanted.clone(), content);
                }
            } else if !is_name(wanted) {
                at.problem(
                    field,
                    "publisher.name, publisher.name@version, an address, or a resource that ends in .vsix",
                );
            }
        }
        let env = [("EXTENSIONS".to_owned(), self.extensions.join("\n"))].into();
        at.independent_script(
            EXTENSIONS_FOLDER,
            EXTENSIONS_FOLDER,
            INSTALL_EXTENSIONS,
            env,
            context,
        );
    }

    fn entrypoint(&self) -> Entrypoint {
        let command = [
            "${ATELIER_PREFIX}/vscode/run-node",
            &format!("${{ATELIER_PREFIX}}/{START_PATH}"),
            "--bind-addr",
            &format!("${{ATELIER_LISTEN_ADDRESS}}:{}", self.port),
            "--auth=password",
            "--disable-telemetry",
            "--disable-update-check",
            "--disable-getting-started-override",
            "--disable-workspace-trust",
            "${ATELIER_WORKSPACE}",
        ];
        Entrypoint {
            id: "vscode".into(),
            label: "VS Code".into(),
            command: command.map(ToOwned::to_owned).into(),
            working_folder: String::new(),
            // Taken for the digest of a password, it is what the cookie of a session has to be; no password leads to it.
            env: [("HASHED_PASSWORD".to_owned(), "${ATELIER_STUDIO_SECRET}".to_owned())].into(),
            port: Some(self.port),
            exposed: true,
            launch_for_web_apps: false,
            proxied_subpath: "/".into(),
            landing: String::new(),
            readiness: Readiness::Http("/healthz".into()),
            restart: Restart::Always,
            inject: Some(InjectedHeader {
                name: "cookie".into(),
                value: "code-server-session=${ATELIER_STUDIO_SECRET}".into(),
            }),
        }
    }
}

fn is_address(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && text.len() <= 2000
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// Names of extensions have no slash, and none ends so.
fn is_resource(text: &str) -> bool {
    std::path::Path::new(text).extension().is_some_and(|extension| extension == "vsix")
}

/// As extensions are named: two parts, and a version where one is wanted.
fn is_name(text: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 100
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let (name, version) = text.split_once('@').unwrap_or((text, "latest"));
    word(version) && name.split_once('.').is_some_and(|(owner, own)| word(owner) && word(own))
}

#[cfg(test)]
mod tests {
    use super::{is_address, is_name};

    #[test]
    fn extensions_are_named_by_two_words_and_perhaps_a_version() {
        for good in ["ms-python.python", "a.b@1.2.3", "A.b-c.d"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "python", ".a", "a.", "a.b@", "a b.c", "--x.y/z", "a.b\n"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_address("https://x.example/a.vsix") && !is_address("https://x\nftp://y"));
    }
}
