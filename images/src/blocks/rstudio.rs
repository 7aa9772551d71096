//! `rstudio`: `RStudio` Server out of a Debian package. It is in none of the registries that others come from, so that its
//! package is named: by an address, or as a resource of the template for closed networks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{Entrypoint, Readiness, Restart},
    plan::{FileContent, FileEntry},
};

const NAME: &str = "rstudio";
const DEFAULT_VERSION: &str = "2025.09.1-401";
const INSTALL: &str = include_str!("../../blocks/rstudio/install.sh");
const START: &str = include_str!("../../blocks/rstudio/start.sh");
const START_PATH: &str = "share/atelier/rstudio-start.sh";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RStudio {
    /// Of the package that the maker offers for Debian 12 on amd64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Instead: the package's address, or a resource that ends in `.deb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    /// SHA-256 of the package, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
}

const fn default_port() -> u16 {
    8787
}

impl BlockRules for RStudio {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        let (package, context) = self.package(at);
        let digest = self.sha256.clone().unwrap_or_default();
        if !digest.is_empty()
            && (digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            at.problem("sha256", "64 hexadecimal digits");
        }
        let env = [("PACKAGE".to_owned(), package), ("PACKAGE_SHA256".to_owned(), digest)];
        at.independent_script(NAME, NAME, INSTALL, env.into(), context);
        at.files(
            "rstudio-start",
            vec![FileEntry {
                path: START_PATH.into(),
                content: FileContent(START.as_bytes().into()),
                executable: false,
            }],
        );
        let port = self.port;
        at.launch.entrypoints.push(Entrypoint {
            id: NAME.into(),
            label: "RStudio".into(),
            command: vec![
                "/bin/sh".into(),
                format!("${{ATELIER_PREFIX}}/{START_PATH}"),
                port.to_string(),
                format!("${{DKU_CODE_STUDIO_BROWSER_PATH_{port}}}"),
            ],
            working_folder: String::new(),
            env: BTreeMap::new(),
            port: Some(port),
            exposed: true,
            launch_for_web_apps: false,
            // It puts the prefix before what it answers, and does not expect it in what it is asked.
            proxied_subpath: "/".into(),
            landing: String::new(),
            readiness: Readiness::Tcp,
            restart: Restart::Always,
            inject: None,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("port", self.port.to_string()), ("type", NAME.into()), ("label", NAME.into())]
    }
}

impl RStudio {
    /// Where the package comes from, and what the script finds in its context.
    fn package(&self, at: &mut Composition<'_>) -> (String, BTreeMap<String, FileContent>) {
        let mut context = BTreeMap::new();
        let Some(package) = &self.package else {
            let version = self.version.as_deref().unwrap_or(DEFAULT_VERSION);
            check::simple_name(at, "version", version);
            let address = format!(
                "https://download2.rstudio.org/server/jammy/amd64/rstudio-server-{version}-amd64.deb"
            );
            return (address, context);
        };
        if self.version.is_some() {
            at.problem("version", "the package says which version it is: leave one of them out");
        }
        let is_address = package.starts_with("https://") || package.starts_with("http://");
        if is_address {
            if package.len() > 2000 || package.contains(|c: char| c.is_control() || c == ' ') {
                at.problem("package", "an address of at most 2,000 characters, without blanks");
            }
        } else {
            check::relative_path(at, "package", package, false);
            if let Some(content) = at.resource("package", package) {
                context.insert(package.clone(), content);
            }
        }
        (package.clone(), context)
    }
}
