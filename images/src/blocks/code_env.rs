//! `code_env`: a Python environment with exact, locked packages, registered with every IDE of the template.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    plan::{FileContent, FileEntry},
};

const INSTALL: &str = include_str!("../../blocks/code_env/install.sh");

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeEnv {
    /// Shown as the kernel's name.
    name: String,
    /// Requirements as pip understands them, one each.
    #[serde(default)]
    packages: Vec<String>,
    /// Exact versions, one a line, as `pip freeze` writes them. Where it is given, nothing is resolved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    /// Interpreter, such as `python3.11`.
    #[serde(default = "default_interpreter")]
    interpreter: String,
}

fn default_interpreter() -> String {
    "python3".to_owned()
}

/// Folder of an environment below the studio prefix.
pub(super) fn folder_of(name: &str) -> String {
    format!("code_env-{name}")
}

/// One requirement: what pip takes from a file, but no options, files or addresses with options in them.
pub(super) fn check_requirement(at: &mut Composition<'_>, field: &str, text: &str) {
    let good = text.len() <= 500
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains(|c: char| c.is_control() || "\\`$".contains(c));
    if !good {
        at.problem(field, format!("{text:?} is not a requirement such as pandas or pandas>=2,<3"));
    }
}

impl BlockRules for CodeEnv {
    fn apply(&self, at: &mut Composition<'_>) {
        check::simple_name(at, "name", &self.name);
        let interpreter = self.interpreter.strip_prefix("python");
        if !interpreter.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
            at.problem("interpreter", "python3 or a version of it, such as python3.11");
        }
        for (place, package) in self.packages.iter().enumerate() {
            check_requirement(at, &format!("packages[{place}]"), package);
        }
        for (line, pinned) in self.lock.iter().flat_map(|lock| lock.lines()).enumerate() {
            let pinned = pinned.trim();
            if !pinned.is_empty() && !pinned.starts_with('#') {
                if !pinned.contains("==") && !pinned.contains(" @ ") {
                    at.problem("lock", format!("line {}: not an exact version", line + 1));
                }
                check_requirement(at, "lock", pinned);
            }
        }
        let env = [
            ("INTERPRETER".to_owned(), self.interpreter.clone()),
            ("PACKAGES".to_owned(), self.packages.join("\n")),
            ("LOCK".to_owned(), self.lock.clone().unwrap_or_default()),
        ];
        let folder = folder_of(&self.name);
        at.independent_script(&folder, &folder, INSTALL, env.into(), BTreeMap::new());
        at.files(&format!("kernel-{}", self.name), vec![self.kernel(&folder)]);
        at.config.path.push(format!("{folder}/bin"));
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.to_lowercase())]
    }
}

impl CodeEnv {
    /// A kernel that works wherever the studio prefix is: the shell finds it when the kernel is started.
    fn kernel(&self, folder: &str) -> FileEntry {
        let start =
            format!(r#"exec "$ATELIER_PREFIX/{folder}/bin/python" -m ipykernel_launcher -f "$0""#);
        let kernel = serde_json::json!({
            "argv": ["/bin/sh", "-c", start, "{connection_file}"],
            "display_name": self.name,
            "language": "python",
            "metadata": {"debugger": true},
        });
        let text = serde_json::to_vec_pretty(&kernel).expect("a JSON value can be written");
        FileEntry {
            path: format!("share/jupyter/kernels/{}/kernel.json", self.name.to_lowercase()),
            content: FileContent(text.into()),
            executable: false,
        }
    }
}
