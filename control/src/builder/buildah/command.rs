//! buildah's command line.

use async_trait::async_trait;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::BuildahRunner;
use crate::{
    builder::{
        BuildError, LogLine, LogSink,
        process::{self, Ended, Job},
        registry::Repository,
    },
    spawn,
};

/// For commands whose output says nothing to who follows the build; what they fail with is in their last words.
struct Unsaid;

#[async_trait]
impl LogSink for Unsaid {
    async fn line(&self, _line: LogLine) {}
}

impl BuildahRunner {
    /// `buildah <verb>` on our storage.
    pub(super) fn buildah(&self, verb: &str) -> Command {
        let settings = &self.settings;
        let mut command = spawn::command("buildah");
        command
            .arg("--root")
            .arg(settings.storage())
            .arg("--runroot")
            .arg(settings.state())
            .args(["--storage-driver", &settings.storage_driver, verb])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &settings.folder)
            .env("XDG_RUNTIME_DIR", settings.state())
            .envs(self.proxies());
        command
    }

    /// Names and values of the variables by which programs find a proxy.
    fn proxies(&self) -> impl Iterator<Item = (&String, &String)> {
        let is_proxy = |name: &String| name.to_ascii_lowercase().ends_with("_proxy");
        self.settings.build_env.iter().filter(move |(name, _)| is_proxy(name))
    }

    /// How a registry is spoken to.
    pub(super) fn to_registry(&self, command: &mut Command, repository: &Repository) {
        let plain = self.settings.plain_http.contains(&repository.registry);
        command.arg(format!("--tls-verify={}", !plain));
        command.arg("--signature-policy").arg(self.settings.policy());
        if self.settings.ca_bundle.is_some() {
            command.arg("--cert-dir").arg(self.settings.certificates());
        }
        if let Some(config) = &self.settings.docker_config {
            command.arg("--authfile").arg(config);
        }
    }

    /// Runs a command of a node to its end, with its output in the log.
    pub(super) async fn follow(
        &self,
        command: Command,
        node: &str,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Ended, BuildError> {
        let notes = self.settings.notes();
        let secrets = process::secrets(self.settings.build_env.values());
        Job { node, notes: &notes, secrets }.run(command, log, cancel).await
    }

    /// Runs a command that has to succeed whatever the node says.
    pub(super) async fn ask(
        &self,
        command: Command,
        node: &str,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let verb = command.as_std().get_args().nth(6).map(|verb| verb.display().to_string());
        let ended = self.follow(command, node, &Unsaid, cancel).await?;
        if ended.status.success() {
            return Ok(());
        }
        Err(BuildError::Environment {
            what: format!("buildah can't do its {}", verb.unwrap_or_default()),
            source: ended.why().into(),
        })
    }

    /// Removes a container; even of a build that was cancelled.
    pub(super) async fn remove_container(&self, container: &str) -> Result<(), BuildError> {
        let mut command = self.buildah("rm");
        command.arg(container);
        self.remove(command, "container not known").await
    }

    /// Runs a command that removes something; what is not there is removed. Goes on when the build is cancelled.
    pub(super) async fn remove(&self, command: Command, unknown: &str) -> Result<(), BuildError> {
        match self.ask(command, "", &CancellationToken::new()).await {
            Err(BuildError::Environment { source, .. }) if source.to_string().contains(unknown) => {
                Ok(())
            }
            removed => removed,
        }
    }

    /// Removes containers of an earlier program.
    pub(super) async fn remove_leftovers(&self) -> Result<(), BuildError> {
        let mut command = self.buildah("rm");
        command.arg("--all");
        self.ask(command, "", &CancellationToken::new()).await
    }
}
