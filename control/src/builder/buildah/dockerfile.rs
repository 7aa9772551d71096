//! Statements of a Dockerfile, built and pushed by buildah.

use std::{fs, path::Path};

use images::plan::{Node, Run};
use tokio_util::sync::CancellationToken;

use super::{BuildahRunner, environment, settings::CA_BUNDLE};
use crate::builder::{
    BuildError, LogSink,
    places::USER,
    process,
    registry::{Digest, Image},
};

impl BuildahRunner {
    /// Answers with an image that has one layer more than `on`.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a node is, what it stands on, and how it is followed"
    )]
    pub(super) async fn run_dockerfile(
        &self,
        node: &Node,
        run: &Run,
        statements: &str,
        on: &Image,
        scratch: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Image, BuildError> {
        let (file, context) = (scratch.join("Dockerfile"), scratch.join("context"));
        process::write_context(&run.context, &context).map_err(environment)?;
        fs::write(&file, self.text(statements, run.as_root, on)).map_err(environment)?;
        // Found again by this name alone, which is of this run.
        let name =
            format!("localhost/atelier-{}", &scratch.file_name().unwrap_or_default().display());
        let built = self.build_file(node, &name, &file, &context, on, log, cancel).await;
        let pushed = match built {
            Ok(()) => self.push(node, &name, scratch, cancel).await,
            Err(error) => Err(error),
        };
        let removed = self.remove_image(&name).await;
        let pushed = pushed?;
        removed?;
        Ok(pushed)
    }

    fn text(&self, statements: &str, as_root: bool, on: &Image) -> String {
        let user = if as_root { "0:0" } else { USER };
        // Proxies are known to every build; the others are where they are declared.
        let arguments = self.settings.build_env.keys().map(|name| format!("ARG {name}"));
        let mut lines = vec![format!("FROM {on}")];
        lines.extend(arguments);
        lines.extend([format!("USER {user}"), statements.to_owned(), String::new()]);
        lines.join("\n")
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what is built out of what, and how it is followed"
    )]
    async fn build_file(
        &self,
        node: &Node,
        name: &str,
        file: &Path,
        context: &Path,
        on: &Image,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let mut command = self.buildah("build");
        self.to_registry(&mut command, &on.repository);
        command.args(["--isolation", "chroot", "--network", "host", "--timestamp", "0"]);
        command.args(["--layers=false", "--format", "oci", "--pull", "--tag", name]);
        if let Some(bundle) = &self.settings.ca_bundle {
            command.arg("--volume").arg(format!("{}:{CA_BUNDLE}:ro", bundle.display()));
        }
        for (name, value) in &self.settings.build_env {
            command.env(name, value).arg("--build-arg").arg(name);
        }
        command.arg("--file").arg(file).arg(context);
        let ended = self.follow(command, &node.name, log, cancel).await?;
        if ended.status.success() {
            return Ok(());
        }
        let (block, node) = (node.block, node.name.clone());
        Err(BuildError::Failed { block, node, why: ended.why() })
    }

    /// Pushes what was built; layers that are there are not sent again.
    async fn push(
        &self,
        node: &Node,
        name: &str,
        scratch: &Path,
        cancel: &CancellationToken,
    ) -> Result<Image, BuildError> {
        let target = &self.settings.target;
        let digest = scratch.join("digest");
        let mut command = self.buildah("push");
        self.to_registry(&mut command, target);
        command.arg("--quiet").arg("--digestfile").arg(&digest).arg(name);
        command.arg(format!("docker://{target}:node-{}", node.key.0));
        self.ask(command, &node.name, cancel).await?;
        let digest = fs::read_to_string(digest).map_err(environment)?;
        let digest = Digest::try_from(digest.trim().to_owned()).map_err(|source| {
            BuildError::Environment {
                what: "buildah names what it pushed by no digest".into(),
                source: Box::new(source),
            }
        })?;
        Ok(Image::by_digest(target, &digest))
    }

    async fn remove_image(&self, name: &str) -> Result<(), BuildError> {
        let mut command = self.buildah("rmi");
        command.args(["--force", name]);
        self.remove(command, "image not known").await
    }
}
