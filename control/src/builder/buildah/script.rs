//! An install script in a container: its folder is mounted from this machine, so that nothing has to be committed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use images::plan::{Node, Run};
use tokio_util::sync::CancellationToken;

use super::{BuildahRunner, environment, settings::CA_BUNDLE};
use crate::builder::{BuildError, LogSink, places::STUDIO_PREFIX, process, registry::Image};

/// Where the script and its context are in the container.
const INSTALL: &str = "/run/atelier-install";
const PIP_CACHE: &str = "/run/atelier-pip-cache";
/// Compilers of Python write hashes in the place of times when they see this, so that layers without times stay compiled. Not 0,
/// which zip files can't say.
const EPOCH: &str = "315532800";

pub(super) struct Script<'a> {
    pub(super) node: &'a Node,
    pub(super) run: &'a Run,
    pub(super) folder: &'a str,
    pub(super) text: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
}

impl BuildahRunner {
    /// Answers with the folder that the script has filled.
    pub(super) async fn run_script(
        &self,
        script: &Script<'_>,
        on: &Image,
        scratch: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<PathBuf, BuildError> {
        let (install, prefix) = (scratch.join("install"), scratch.join("prefix"));
        fs::create_dir(&install).map_err(environment)?;
        fs::create_dir(&prefix).map_err(environment)?;
        fs::write(install.join("install.sh"), script.text).map_err(environment)?;
        process::write_context(&script.run.context, &install.join("context"))
            .map_err(environment)?;
        // Named by us, so that it is found also when its making was cancelled.
        let container = format!("atelier-{}", scratch.file_name().unwrap_or_default().display());
        let ran = match self.container(&container, script.node, on, cancel).await {
            Ok(()) => self.run_in(&container, script, &install, &prefix, log, cancel).await,
            Err(error) => Err(error),
        };
        let removed = self.remove_container(&container).await;
        ran?;
        removed?;
        Ok(prefix)
    }

    /// A container on an image, which is fetched unless it is in the storage.
    async fn container(
        &self,
        name: &str,
        node: &Node,
        on: &Image,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let mut command = self.buildah("from");
        self.to_registry(&mut command, &on.repository);
        command.args(["--quiet", "--name", name]).arg(format!("docker://{on}"));
        self.ask(command, &node.name, cancel).await
    }

    async fn run_in(
        &self,
        container: &str,
        script: &Script<'_>,
        install: &Path,
        prefix: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let at = format!("/{STUDIO_PREFIX}/{}", script.folder);
        let mut command = self.buildah("run");
        command.args(["--isolation", "chroot", "--network", "host", "--user", "0:0"]);
        let mut mount = |from: &Path, to: &str, how: &str| {
            command.arg("--volume").arg(format!("{}:{to}:{how}", from.display()));
        };
        mount(prefix, &at, "rw");
        mount(install, INSTALL, "ro");
        mount(&self.settings.pip_cache(), PIP_CACHE, "rw");
        if let Some(bundle) = &self.settings.ca_bundle {
            mount(bundle, CA_BUNDLE, "ro");
        }
        let start = self.start(script.env, &at);
        fs::write(install.join("start.sh"), start).map_err(environment)?;
        command.args([container, "--", "/bin/sh", &format!("{INSTALL}/start.sh")]);
        let ended = self.follow(command, &script.node.name, log, cancel).await?;
        if ended.status.success() {
            return Ok(());
        }
        let (block, node) = (script.node.block, script.node.name.clone());
        Err(BuildError::Failed { block, node, why: ended.why() })
    }

    /// What the container runs: the script in its environment. In a file, since addresses with passwords are not to be seen in
    /// a list of processes.
    fn start(&self, env: &BTreeMap<String, String>, prefix: &str) -> String {
        let context = format!("{INSTALL}/context");
        let defaults = [("LANG", "C.UTF-8"), ("SOURCE_DATE_EPOCH", EPOCH)];
        let ours = [
            ("HOME", "/root"),
            ("TMPDIR", "/tmp"),
            ("PREFIX", prefix),
            ("CONTEXT", &context),
            ("PIP_CACHE_DIR", PIP_CACHE),
        ];
        let named = self.settings.build_env.iter().chain(env);
        let named = named.map(|(name, value)| (name.as_str(), value.as_str()));
        let export = |(name, value): (&str, &str)| {
            let quoted = value.replace('\'', r"'\''");
            format!("export {name}='{quoted}'")
        };
        let mut lines: Vec<String> =
            defaults.into_iter().chain(named).chain(ours).map(export).collect();
        lines.extend([format!("exec /bin/sh {INSTALL}/install.sh"), String::new()]);
        lines.join("\n")
    }
}
