//! `code_env`: a Python or R environment with exact, locked packages, registered with every IDE of the template.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    plan::{FileContent, FileEntry},
};

const INSTALL: &str = include_str!("../../blocks/code_env/install.sh");
const INSTALL_R: &str = include_str!("../../blocks/code_env/install_r.sh");
const R_PROGRAM: &str = include_str!("../../blocks/code_env/install.R");

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeEnv {
    /// Shown as the kernel's name.
    name: String,
    #[serde(default)]
    language: Language,
    /// Requirements as pip understands them, one each; in R, names of packages.
    #[serde(default)]
    packages: Vec<String>,
    /// Exact versions, one a line, as in the environment's `lock.txt`. Where it is given, nothing is resolved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    /// Python's interpreter, such as `python3.11`. R is the base image's.
    #[serde(default = "default_interpreter")]
    interpreter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Language {
    #[default]
    Python,
    R,
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

/// The name of a package of R.
fn check_r_package(at: &mut Composition<'_>, field: &str, text: &str) {
    let good = text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if !good {
        at.problem(field, format!("{text:?} is not the name of a package, such as ggplot2"));
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
            let field = format!("packages[{place}]");
            match self.language {
                Language::Python => check_requirement(at, &field, package),
                Language::R => check_r_package(at, &field, package),
            }
        }
        self.check_lock(at);
        let folder = folder_of(&self.name);
        let mut env: BTreeMap<String, String> = [
            ("PACKAGES".to_owned(), self.packages.join("\n")),
            ("LOCK".to_owned(), self.lock.clone().unwrap_or_default()),
        ]
        .into();
        let kernel = format!("kernel-{}", self.name);
        match self.language {
            Language::Python => {
                env.insert("INTERPRETER".to_owned(), self.interpreter.clone());
                at.independent_script(&folder, &folder, INSTALL, env, BTreeMap::new());
                let start = format!(
                    r#"exec "$ATELIER_PREFIX/{folder}/bin/python" -m ipykernel_launcher -f "$0""#
                );
                let files =
                    vec![self.kernel("python", true, &start), self.interpreter_entry(&folder)];
                at.files(&kernel, files);
                at.config.path.push(format!("{folder}/bin"));
            }
            Language::R => {
                let program = FileContent(R_PROGRAM.as_bytes().into());
                let context = [("install.R".to_owned(), program)].into();
                at.independent_script(&folder, &folder, INSTALL_R, env, context);
                let start = format!(
                    r#"R_LIBS="$ATELIER_PREFIX/{folder}/library" exec R --slave -e "IRkernel::main()" --args "$0""#
                );
                at.files(&kernel, vec![self.kernel("R", false, &start)]);
            }
        }
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.to_lowercase())]
    }
}

impl CodeEnv {
    fn check_lock(&self, at: &mut Composition<'_>) {
        for (line, pinned) in self.lock.iter().flat_map(|lock| lock.lines()).enumerate() {
            let pinned = pinned.trim();
            if pinned.is_empty() || pinned.starts_with('#') {
                continue;
            }
            let exact = match self.language {
                Language::Python => pinned.contains("==") || pinned.contains(" @ "),
                Language::R => pinned.split("==").count() == 2 && !pinned.contains(['/', ' ']),
            };
            if !exact {
                at.problem("lock", format!("line {}: not an exact version", line + 1));
            }
            check_requirement(at, "lock", pinned);
        }
    }

    /// A kernel that works wherever the studio prefix is: the shell finds it when the kernel is started.
    fn kernel(&self, language: &str, debugger: bool, start: &str) -> FileEntry {
        let kernel = serde_json::json!({
            "argv": ["/bin/sh", "-c", start, "{connection_file}"],
            "display_name": self.name,
            "language": language,
            "metadata": {"debugger": debugger},
        });
        let text = serde_json::to_vec_pretty(&kernel).expect("a JSON value can be written");
        FileEntry {
            path: format!("share/jupyter/kernels/{}/kernel.json", self.name.to_lowercase()),
            content: FileContent(text.into()),
            executable: false,
        }
    }

    /// For IDEs that know environments by their interpreters.
    fn interpreter_entry(&self, folder: &str) -> FileEntry {
        let entry = serde_json::json!({"display_name": self.name, "folder": folder});
        let text = serde_json::to_vec_pretty(&entry).expect("a JSON value can be written");
        FileEntry {
            path: format!("share/atelier/interpreters/{}.json", self.name.to_lowercase()),
            content: FileContent(text.into()),
            executable: false,
        }
    }
}
