//! Runs nodes by buildah, as root, without a daemon.
//!
//! A script runs in a container on the node's base, with its folder mounted from this machine: what it installs there is the
//! node's layer, and whatever else it does to the container is thrown away. Nothing is committed. Statements of a Dockerfile
//! are built and pushed by buildah, and become the layers above those that were there.
//!
//! buildah ends badly: a signal leaves what it runs alive. So it is ended as a group (`builder::process`), and what it keeps of
//! its containers is removed after each node, and after a crash at the next start.

mod command;
mod dockerfile;
mod script;
mod settings;

use std::{io, path::Path};

use async_trait::async_trait;
use images::plan::{Fragment, Node, Run};
use tokio_util::sync::CancellationToken;

use super::{
    BuildError, LogSink, process,
    registry::Image,
    runner::{Made, Runner},
};
pub use settings::BuildahSettings;

/// The runner.
pub struct BuildahRunner {
    settings: BuildahSettings,
}

impl BuildahRunner {
    /// Opens buildah's storage below the settings' folder. Ends and removes what an earlier program left there.
    pub async fn open(settings: BuildahSettings) -> Result<Self, BuildError> {
        let runner = Self { settings };
        runner.prepare().map_err(environment)?;
        runner.remove_leftovers().await?;
        Ok(runner)
    }

    fn prepare(&self) -> io::Result<()> {
        for folder in [
            self.settings.storage(),
            self.settings.state(),
            self.settings.notes(),
            self.settings.pip_cache(),
            self.settings.certificates(),
        ] {
            std::fs::create_dir_all(folder)?;
        }
        // Whom to trust is said by digests, which the plan has.
        std::fs::write(
            self.settings.policy(),
            br#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
        )?;
        if let Some(bundle) = &self.settings.ca_bundle {
            std::fs::copy(bundle, self.settings.certificates().join("ca.crt"))?;
        }
        process::end_leftovers(&self.settings.notes())
    }
}

#[async_trait]
impl Runner for BuildahRunner {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn check(&self, _run: &Run) -> Result<(), &'static str> {
        Ok(())
    }

    async fn run(
        &self,
        node: &Node,
        run: &Run,
        on: &Image,
        scratch: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Made, BuildError> {
        match &run.fragment {
            Fragment::Script { folder, text, env } => {
                let script = script::Script { node, run, folder, text, env };
                self.run_script(&script, on, scratch, log, cancel).await.map(Made::Folder)
            }
            Fragment::Dockerfile(statements) => {
                let made = self.run_dockerfile(node, run, statements, on, scratch, log, cancel);
                made.await.map(Made::Image)
            }
        }
    }
}

fn environment(source: io::Error) -> BuildError {
    let what = match source.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some room and build again",
        _ => "buildah's folder can't be used",
    };
    BuildError::Environment { what: what.into(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
