//! What `gradio` and `voila` share: a framework from `PyPI` in an environment of its own, or in one that the template names.

use std::collections::BTreeMap;

use super::{check, code_env};
use crate::{
    compose::Composition,
    launch::{StarterFile, StarterSource},
};

const INSTALL: &str = include_str!("../../blocks/python_app/install.sh");

/// A framework.
pub(super) struct PythonApp<'a> {
    /// Its type, its package's name, and that of its folders.
    pub(super) name: &'static str,
    pub(super) version: &'a str,
    /// What it needs beside its own package.
    pub(super) more_packages: &'a [&'a str],
    /// A `code_env` that has all of it.
    pub(super) code_env: Option<&'a str>,
}

impl PythonApp<'_> {
    /// Installs it where no environment is named; answers with the environment's folder below the studio prefix.
    pub(super) fn install(&self, at: &mut Composition<'_>) -> String {
        if let Some(name) = self.code_env {
            check::simple_name(at, "code_env", name);
            return code_env::folder_of(name);
        }
        check::simple_name(at, "version", self.version);
        let own = format!("{}=={}", self.name, self.version);
        let packages: Vec<&str> =
            std::iter::once(own.as_str()).chain(self.more_packages.iter().copied()).collect();
        let env = [("PACKAGES".to_owned(), packages.join("\n"))].into();
        at.independent_script(self.name, self.name, INSTALL, env, BTreeMap::new());
        self.name.to_owned()
    }

    /// The application that a studio begins with; answers with its path for a command line.
    pub(super) fn starter(&self, at: &mut Composition<'_>, file: &str, text: &str) -> String {
        let path = format!("{}/{file}", self.name);
        at.launch.starter_files.push(StarterFile {
            zone: "code_studio-versioned".into(),
            path: path.clone(),
            source: StarterSource::Text(text.to_owned()),
        });
        format!("${{ATELIER_WORKSPACE}}/code_studio-versioned/{path}")
    }
}
