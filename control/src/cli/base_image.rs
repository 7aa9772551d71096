//! `atelier base-image`: images that studios' images stand on. Works on this machine, as root, without a server.

use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    error::CliError,
    machine::{cache_folder, helper_environment},
    output::Output,
    serve,
};
use crate::builder::{
    LogLine, LogSink,
    base_image::{BaseImages, Recipe},
    layer::Packing,
    registry::{Image, Registry, RegistryError, RegistrySettings},
};

/// Works with base images.
#[derive(Debug, clap::Subcommand)]
pub(super) enum BaseImageVerb {
    /// Makes a base image out of Debian packages, as root on this machine, and pushes it.
    Build(BuildArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// Where it is pushed, such as `registry.example:5000/bases/debian:12`.
    #[arg(value_name = "IMAGE")]
    to: String,
    /// Release of Debian.
    #[arg(long, default_value = "bookworm")]
    suite: String,
    /// Packages beside Python, git and certificates.
    #[arg(short, long = "package", value_name = "NAME", value_delimiter = ',')]
    packages: Vec<String>,
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Makes it again though it was made before, with the packages of today.
    #[arg(long)]
    no_cache: bool,
    /// For runtimes that do not know zstd.
    #[arg(long)]
    gzip: bool,
    /// Speaks to the registry without TLS.
    #[arg(long)]
    plain_http: bool,
    /// Certificates that are believed beside the system's.
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Docker's `config.json` with the registry's credentials.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
}

/// On standard error, as they come.
struct Shown;

#[async_trait]
impl LogSink for Shown {
    async fn line(&self, line: LogLine) {
        use std::io::Write as _;
        // Nobody reads it any more: that is no reason to stop.
        writeln!(std::io::stderr(), "{}: {}", line.node, line.text).ok();
    }
}

pub(super) async fn run(verb: BaseImageVerb, output: &mut Output<'_>) -> Result<(), CliError> {
    let BaseImageVerb::Build(args) = verb;
    let image: Image = args.to.parse().map_err(|error: RegistryError| usage(&error))?;
    let recipe = Recipe::new(&args.suite, args.mirror.as_deref(), &args.packages);
    let recipe = recipe.map_err(|error| usage(&error))?;
    let host = image.repository.registry.clone();
    let settings = RegistrySettings {
        plain_http: args.plain_http.then_some(host).into_iter().collect(),
        ca_bundle: args.ca_bundle,
        docker_config: args.docker_config,
        helper_env: helper_environment(),
    };
    let bases = BaseImages {
        registry: Registry::open(settings).map_err(|error| usage(&error))?,
        folder: cache_folder()
            .ok_or_else(|| {
                CliError::usage("this machine has no folder for caches: set XDG_CACHE_HOME")
            })?
            .join("base-images"),
        env: serve::environment(),
        packing: if args.gzip { Packing::Gzip } else { Packing::Zstd },
    };
    let cancel = CancellationToken::new();
    let build = bases.build(&recipe, &image, args.no_cache, &Shown, &cancel);
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        } else {
            std::future::pending::<()>().await;
        }
        std::future::pending().await
    };
    let built = tokio::select! {
        built = build => built,
        never = interrupted => never,
    };
    let built = built.map_err(|error| CliError::Failed { why: chain(&error) })?;
    output.item(&json!({"image": built.to_string()}), &["image"])
}

fn usage(error: &dyn std::error::Error) -> CliError {
    CliError::usage(chain(error))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
