//! The running control plane: listeners, the queue of builds, and an orderly end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agents::{self, AgentHub, ca::Ca},
    api,
    app::{housekeeping, logs::LogKeeper, secrets::StudioSecrets, services::Services},
    clock::{SharedClock, SystemClock},
    instance::{Instance, InstanceError, write_private},
    proxy::{
        Listening, Proxy, ProxyConfig, ProxyParts, Role, RouteTable,
        feed::RouteFeed,
        over_app::{AgentTunnels, AppAuthorizer},
        serve_listener,
    },
    public_address::PublicAddress,
    reconcile::studio::{LaunchContext, Limits, StudioReconciler},
    runtime::Runtime,
    wiring::{self, Opening},
};

/// How long work may go on after the end was asked for.
const END: Duration = Duration::from_secs(20);
/// Login of the first administrator.
const ADMINISTRATOR: &str = "admin";

/// Where an instance's studios run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// As processes of this machine.
    Process {
        /// The agent's binary, which every studio gets.
        agent: PathBuf,
    },
    /// In a cluster.
    Kubernetes {
        /// The administrator's YAML file; without one everything is as a plain cluster has it.
        settings: Option<PathBuf>,
        images: ImageChoice,
    },
}

/// Where the images of a cluster's studios come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageChoice {
    /// One for all, with the agent as its entrypoint.
    Ready(String),
    /// Made of templates.
    Built(ImageFactory),
}

/// How images are made for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFactory {
    pub base: String,
    /// Where they go.
    pub repository: String,
    /// The agent's binary; `None`: the base has it.
    pub agent: Option<PathBuf>,
    /// Registries that are spoken to without TLS.
    pub plain_http: BTreeSet<String>,
    pub docker_config: Option<PathBuf>,
    /// Of the programs that keep credentials: `PATH`, `HOME`.
    pub helper_env: BTreeMap<String, String>,
    pub ca_bundle: Option<PathBuf>,
    /// Install scripts and Dockerfile statements are run, as root.
    pub with_buildah: bool,
}

/// How an instance is run.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Everything of the instance lies below it.
    pub data: PathBuf,
    /// Where people and their applications are served.
    pub listen: SocketAddr,
    /// How people reach it; `None`: from this machine alone.
    pub public: Option<PublicAddress>,
    /// Where agents dial in. Port 0: one is chosen, and taken again the next time, since agents that run come back to it.
    pub listen_agents: SocketAddr,
    /// What agents dial, where that is not what is listened on: a host, or host and port.
    pub agents_address: Option<String>,
    pub runtime: RuntimeChoice,
    /// For install scripts and studios: proxies, package mirrors, CA bundle.
    pub environment: BTreeMap<String, String>,
    /// How long tools of a starting studio may take until they are ready.
    pub readiness_limit: Duration,
    /// Told when the instance serves: addresses, and an administrator's key.
    pub ready_file: Option<PathBuf>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("the state can't be opened")]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    App(#[from] crate::app::AppError),
    #[error("the agents' authority can't be opened")]
    Ca(#[from] agents::ca::CaError),
    #[error(transparent)]
    Origins(#[from] crate::proxy::InvalidOrigins),
    #[error("the cluster can't be used")]
    Cluster(#[from] crate::wiring::ClusterError),
    #[error(transparent)]
    ClusterSettings(#[from] crate::wiring::SettingsError),
    #[error("images can't be made")]
    Images(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{what}")]
    Io { what: String, source: std::io::Error },
}

/// An instance that serves.
pub struct Server {
    /// Where its pages are.
    pub url: String,
    pub services: Arc<Services>,
    address: SocketAddr,
    public: PublicAddress,
    agents_address: SocketAddr,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    runtime: Arc<dyn Runtime>,
    /// Let go of when everything else has ended.
    _instance: Instance,
}

impl Server {
    /// Opens the instance and serves it.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let instance = Instance::open(&config.data)?;
        let clock: SharedClock = Arc::new(SystemClock);
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let listener = bind(config.listen).await?;
        let agents_listener = bind_agents(&instance, config.listen_agents).await?;
        let (address, agents_address) = (local(&listener)?, local(&agents_listener)?);
        let public = config.public.unwrap_or_else(|| PublicAddress::loopback(address.port()));
        let store = wiring::store(&instance).await?;
        let ca = Ca::open(&instance.path("agents"))?;
        let dialled = agents::dialled_address(config.agents_address.as_deref(), agents_address);
        let (hub, wishes) =
            AgentHub::new(ca, dialled, Arc::clone(&store), tasks.clone(), shutdown.clone());
        let services = wiring::open(Opening {
            instance: &instance,
            store,
            clock: &clock,
            agents: Arc::clone(&hub) as _,
            runtime: &config.runtime,
            environment: config.environment.clone(),
            app_urls: public.app_urls(),
            tracker: tasks.clone(),
            shutdown: shutdown.clone(),
        })
        .await?;
        let runtime = wiring::runtime(&instance, &config.runtime, config.environment).await?;
        hub.trust(Arc::clone(&runtime));
        services.users.ensure_first_administrator(&login()).await?;
        services.sync.end_abandoned_tasks().await?;
        synchronise(&services, wishes, runtime.as_ref());
        let listening = Arc::clone(&hub);
        tasks.spawn(async move { listening.listen(agents_listener).await });

        let authorizer =
            AppAuthorizer::new(Arc::clone(&services.login), Arc::clone(&services.studios));
        let table = Arc::new(RouteTable::default());
        let parts = ProxyParts {
            routes: Arc::clone(&table),
            authorizer: Arc::new(authorizer),
            tunnels: Arc::new(AgentTunnels(Arc::clone(&hub) as _)),
            clock,
            tracker: tasks.clone(),
            cancel: shutdown.clone(),
        };
        let proxy = Proxy::new(
            ProxyConfig {
                origins: public.origins(),
                ..ProxyConfig::new(instance.secret("proxy.key")?)
            },
            parts,
        )?;
        let secrets = StudioSecrets::new(instance.secret("studios.key")?);
        let feed = RouteFeed {
            services: Arc::clone(&services),
            agents: Arc::clone(&hub) as _,
            runtime: Arc::clone(&runtime),
            secrets: secrets.clone(),
            table,
            proxy: proxy.clone(),
            tracker: tasks.clone(),
        };
        tasks.spawn(feed.run(shutdown.clone()));
        let keeper = LogKeeper {
            kept: Arc::clone(&services.kept_logs),
            store: Arc::clone(&services.store),
            studios: Arc::clone(&services.studios),
            agents: Arc::clone(&hub) as _,
            tracker: tasks.clone(),
        };
        tasks.spawn(keeper.run(shutdown.clone()));
        let limits = Limits { readiness: config.readiness_limit, ..Limits::default() };
        let reconciler = StudioReconciler::new(
            Arc::clone(&services),
            hub,
            Arc::new(Arc::clone(&services.sync)),
            Arc::clone(&runtime),
            LaunchContext { secrets, drain_grace: limits.grace },
            limits,
        );
        tasks.spawn(reconciler.run(shutdown.clone()));
        serve_people(&services, listener, proxy, &public);
        tasks.spawn(Arc::clone(&services.builds).run(shutdown.clone()));
        tasks.spawn(housekeeping::run(Arc::clone(&services), shutdown.clone()));

        let server = Self {
            url: public.url(),
            services,
            address,
            public,
            agents_address,
            tasks,
            shutdown,
            runtime,
            _instance: instance,
        };
        if let Some(file) = &config.ready_file {
            server.write_ready_file(file).await?;
        }
        Ok(server)
    }

    /// Who an instance begins with.
    pub fn administrator() -> crate::domain::ids::Login {
        login()
    }

    /// Where it is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where agents dial in.
    pub const fn agents_address(&self) -> SocketAddr {
        self.agents_address
    }

    /// A link that logs the administrator in, once.
    pub async fn administrators_link(&self) -> Result<String, ServerError> {
        let token = self.services.login.create_link(&login()).await?;
        Ok(format!("{}/login/link/{token}", self.url))
    }

    /// Tells programs where the instance is, with an administrator's key.
    pub async fn write_ready_file(&self, file: &std::path::Path) -> Result<(), ServerError> {
        let scope = crate::domain::user::Scope::Admin;
        let (_, key) = self.services.api_keys.issue(login(), "ready file", scope, None).await?;
        let names = self.public.app_urls();
        let apps = format!("{}://{{port}}--{{studio}}.{}", names.scheme, names.domain);
        let ready = serde_json::json!({"url": self.url, "apps_url": apps, "api_key": key});
        write_private(file, ready.to_string().as_bytes()).map_err(|source| ServerError::Io {
            what: "the ready file can't be written".into(),
            source,
        })
    }

    /// Ends in order: no new work, what is under way ends or is left to the next program. Studios go on.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(END, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some work did not end in time");
        }
        // Studios go on, so that whoever watches over them has no end to wait for.
        let at_once = CancellationToken::new();
        at_once.cancel();
        self.runtime.close(at_once).await;
        self.services.store.close().await;
    }
}

/// What agents ask for, and copies of what could be lost with their pods, until the end.
fn synchronise(
    services: &Arc<Services>,
    wishes: tokio::sync::mpsc::Receiver<crate::app::agent_calls::SyncWish>,
    runtime: &dyn Runtime,
) {
    services.tracker.spawn(Arc::clone(&services.sync).fulfil_wishes(wishes));
    if !runtime.keeps_files() {
        services.tracker.spawn(Arc::clone(&services.sync).keep_shadows());
    }
}

/// Everything that people and applications reach, until the end.
fn serve_people(
    services: &Arc<Services>,
    listener: TcpListener,
    proxy: Proxy,
    public: &PublicAddress,
) {
    let role = Listening { scheme: public.scheme(), role: Role::Main };
    let router = router(services, public);
    let served = serve_listener(listener, proxy, router, role, services.shutdown.clone());
    services.tracker.spawn(served);
}

/// The API and the pages.
fn router(services: &Arc<Services>, public: &PublicAddress) -> axum::Router {
    let pages = api::ui::router(&public.app_sources()).expect("host names are good in a header");
    let router = api::router(Arc::clone(services)).merge(pages);
    match public.canonical() {
        Some(named) => api::ui::send_browsers_to(named, router),
        None => router,
    }
}

fn login() -> crate::domain::ids::Login {
    ADMINISTRATOR.parse().expect("it is a good login")
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Io {
        what: format!("{address} can't be listened on"),
        source,
    })
}

/// Binds to the port that was chosen before, if one was and it is free.
async fn bind_agents(instance: &Instance, wanted: SocketAddr) -> Result<TcpListener, ServerError> {
    if wanted.port() != 0 {
        return bind(wanted).await;
    }
    let file = instance.path("agents.port");
    let kept = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(port) = kept {
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                tracing::warn!(port, %error, "agents that run may look for this server at another port");
            }
        }
    }
    let listener = bind(wanted).await?;
    let port = local(&listener)?.port().to_string();
    write_private(&file, port.as_bytes()).map_err(|source| ServerError::Io {
        what: "the agents' port can't be kept".into(),
        source,
    })?;
    Ok(listener)
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ServerError> {
    listener
        .local_addr()
        .map_err(|source| ServerError::Io { what: "a listener has no address".into(), source })
}
