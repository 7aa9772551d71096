//! `up` and `serve`: the control plane itself.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Cli, Command, fail, image_args::ImageArgs};
use crate::{
    public_address::PublicAddress,
    sample,
    server::{RuntimeChoice, Server, ServerConfig, ServerError},
};

/// Name of the agent's binary, which lies beside this program's unless said otherwise.
const AGENT: &str = "atelier-agent";
/// What install scripts and studios get of this program's environment: how to reach the world.
const PASSED_ON: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "OPEN_VSX_URL",
    "CRAN_URL",
];
const PASSED_ON_PREFIXES: &[&str] = &["PIP_", "NPM_CONFIG_"];

#[derive(Debug, Clone, Args)]
pub(super) struct ServeArgs {
    /// Folder of the instance: everything that it keeps lies below it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where people and applications are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// What browsers reach it by, where something in front of it has that name and ends TLS: `https://atelier.example.com`.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Applications are `<port>--<id>.DOMAIN`, which has to lead here for every name below it; without it, that of --url.
    #[arg(long, value_name = "DOMAIN", requires = "url")]
    apps_domain: Option<String>,
    /// Where agents dial in; port 0 chooses one, and keeps it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen_agents: SocketAddr,
    /// What agents dial, where that is not what is listened on: a host, or host and port.
    #[arg(long, value_name = "ADDRESS")]
    agents_address: Option<String>,
    /// Where studios run.
    #[arg(long, value_enum, default_value = "process")]
    runtime: RuntimeName,
    /// How they run in a cluster: context, namespace, resources, volumes.
    #[arg(long, value_name = "FILE")]
    kubernetes: Option<PathBuf>,
    #[command(flatten)]
    images: ImageArgs,
    /// Written when it serves: JSON with `url`, `apps_url` and an administrator's `api_key`.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The agent that studios get; without it, that of the base image, or the one beside this program.
    #[arg(long, value_name = "FILE")]
    agent_binary: Option<PathBuf>,
    /// How long the tools of a starting studio may take until they are ready, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    readiness_limit_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuntimeName {
    /// As processes of this machine.
    Process,
    /// In the cluster of a kubeconfig, or in the one that this program runs in.
    Kubernetes,
}

#[derive(Debug, Clone, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Begins with nothing in it.
    #[arg(long)]
    no_sample: bool,
}

/// Runs the control plane, if that is what was asked for.
pub(super) fn intercept(cli: &Cli) -> Option<ExitCode> {
    let (args, with_sample) = match &cli.command {
        Command::Up(args) => (args.serve.clone(), !args.no_sample),
        Command::Serve(args) => (args.clone(), false),
        _ => return None,
    };
    Some(match run(args, with_sample, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::FAILURE
        }
    })
}

fn run(
    args: ServeArgs,
    with_sample: bool,
    out: &mut (dyn std::io::Write + Send),
) -> Result<(), ServerError> {
    let filter = EnvFilter::try_from_env("ATELIER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where somebody else has begun logging, that goes on.
    drop(lines.try_init());
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| ServerError::Io { what, source }
    };
    let config = config(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed("can't begin"))?.block_on(async {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(failed("signals can't be heard"))?;
        let ready = config.ready_file.clone();
        let server = Server::start(ServerConfig { ready_file: None, ..config }).await?;
        if with_sample {
            sample::make(&server.services, Server::administrator()).await?;
        }
        let link = server.administrators_link().await?;
        let said = writeln!(out, "Atelier serves at {}\nLog in, once: {link}", server.url);
        said.and_then(|()| out.flush()).map_err(failed("nobody reads standard output"))?;
        if let Some(file) = ready {
            server.write_ready_file(&file).await?;
        }
        tokio::select! {
            _ = terminate.recv() => (),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(failed("signals can't be heard"))?;
            }
        }
        tracing::info!("ends; studios go on");
        server.stop().await;
        Ok(())
    })
}

fn config(args: ServeArgs) -> Result<ServerConfig, ServerError> {
    let environment = environment();
    let data = args.data.or_else(default_data).ok_or_else(|| ServerError::Io {
        what: "say where the instance's data lies, with --data".to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let runtime = match args.runtime {
        RuntimeName::Process => RuntimeChoice::Process { agent: agent(args.agent_binary)? },
        RuntimeName::Kubernetes => RuntimeChoice::Kubernetes {
            settings: args.kubernetes,
            images: args.images.choice(args.agent_binary).ok_or_else(|| ServerError::Io {
                what: "say where studios' images come from: --base-image with --image-repository, or --image".into(),
                source: std::io::ErrorKind::InvalidInput.into(),
            })?,
        },
    };
    let public = args.url.map(|url| PublicAddress::new(&url, args.apps_domain.as_deref()));
    Ok(ServerConfig {
        data,
        public: public.transpose()?,
        agents_address: args.agents_address,
        runtime,
        listen: args.listen,
        listen_agents: args.listen_agents,
        environment,
        ready_file: args.ready_file,
        readiness_limit: Duration::from_secs(args.readiness_limit_s),
    })
}

/// `~/.local/share/atelier`, or where that kind of data is kept on this machine.
fn default_data() -> Option<PathBuf> {
    let kept = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"));
    Some(kept.or_else(home)?.join("atelier"))
}

fn agent(wanted: Option<PathBuf>) -> Result<PathBuf, ServerError> {
    let beside = || {
        let here = std::env::current_exe().ok()?;
        Some(here.parent()?.join(AGENT))
    };
    let missing = |path: &Path| ServerError::Io {
        what: format!(
            "there is no agent at {}: build it with `make agent`, or name it with --agent-binary",
            path.display()
        ),
        source: std::io::ErrorKind::NotFound.into(),
    };
    let path = wanted.or_else(beside).ok_or_else(|| missing(Path::new(AGENT)))?;
    if path.is_file() { Ok(path) } else { Err(missing(&path)) }
}

pub(super) fn environment() -> BTreeMap<String, String> {
    let known = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    known
        .filter(|(name, _)| {
            let upper = name.to_ascii_uppercase();
            PASSED_ON.contains(&upper.as_str())
                || PASSED_ON_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        })
        .collect()
}
