//! Where the images of a cluster's studios come from.

use std::path::PathBuf;

use clap::Args;

use crate::server::{ImageChoice, ImageFactory};

#[derive(Debug, Clone, Args)]
pub(super) struct ImageArgs {
    /// One image for all studios, used as it is: the agent is its entrypoint. For templates that install nothing.
    #[arg(long, value_name = "REFERENCE", conflicts_with = "base_image")]
    image: Option<String>,
    /// What templates' images are built on.
    #[arg(long, value_name = "REFERENCE", requires = "image_repository")]
    base_image: Option<String>,
    /// Where built images go, such as `registry.example.org/atelier/studios`.
    #[arg(long, value_name = "REPOSITORY", requires = "base_image")]
    image_repository: Option<String>,
    /// Registries (`host:port`) that are spoken to without TLS.
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
    /// Docker's `config.json`, with credentials of registries.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
    /// Certificates in PEM that are believed beside the system's, in builds too.
    #[arg(long, value_name = "FILE")]
    image_ca: Option<PathBuf>,
    /// Runs blocks' install scripts and Dockerfile statements by buildah, as root. Without it, images only get files.
    #[arg(long)]
    with_buildah: bool,
}

impl ImageArgs {
    /// `None`: nothing was said.
    pub(super) fn choice(self, agent: Option<PathBuf>) -> Option<ImageChoice> {
        match (self.image, self.base_image, self.image_repository) {
            (Some(image), _, _) => Some(ImageChoice::Ready(image)),
            (None, Some(base), Some(repository)) => Some(ImageChoice::Built(ImageFactory {
                base,
                repository,
                agent,
                plain_http: self.plain_http.into_iter().collect(),
                docker_config: self.docker_config,
                ca_bundle: self.image_ca,
                helper_env: ["PATH", "HOME"].into_iter().filter_map(variable).collect(),
                with_buildah: self.with_buildah,
            })),
            (None, _, _) => None,
        }
    }
}

fn variable(name: &str) -> Option<(String, String)> {
    Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?))
}
