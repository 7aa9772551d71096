//! Runs install scripts on this machine.

use std::{collections::BTreeMap, fs, io, path::Path};

use images::plan::{FileContent, Node};
use tokio_util::sync::CancellationToken;

use super::{environment, layout::Layout};
use crate::{
    builder::{
        BuildError, LogSink,
        process::{self, Job},
        scratch::Scratch,
    },
    spawn,
};

/// A node's script with all it needs.
pub(super) struct Script<'a> {
    pub(super) layout: &'a Layout,
    pub(super) node: &'a Node,
    pub(super) text: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) context: &'a BTreeMap<String, FileContent>,
    pub(super) build_env: &'a BTreeMap<String, String>,
}

impl Script<'_> {
    /// Runs it to its end, with `prefix` as `$PREFIX`.
    pub(super) async fn run(
        &self,
        prefix: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let scratch = Scratch(self.layout.scratch().map_err(environment)?);
        let (file, context, home) =
            (scratch.0.join("install.sh"), scratch.0.join("context"), scratch.0.join("home"));
        self.write_inputs(&file, &context, &home).map_err(environment)?;
        let mut command = spawn::command("/bin/sh");
        command
            .arg(&file)
            .current_dir(&home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(self.build_env)
            .envs(self.env)
            .env("HOME", &home)
            .env("TMPDIR", &scratch.0)
            .env("PREFIX", prefix)
            .env("CONTEXT", &context)
            .env("PIP_CACHE_DIR", self.layout.pip_cache());
        let job = Job {
            node: &self.node.name,
            notes: &self.layout.running(),
            secrets: process::secrets(self.build_env.values()),
        };
        let ended = job.run(command, log, cancel).await?;
        if ended.status.success() {
            return Ok(());
        }
        let (block, node) = (self.node.block, self.node.name.clone());
        Err(BuildError::Failed { block, node, why: ended.why() })
    }

    fn write_inputs(&self, file: &Path, context: &Path, home: &Path) -> io::Result<()> {
        fs::write(file, self.text)?;
        fs::create_dir(home)?;
        process::write_context(self.context, context)
    }
}
