//! The one place that names drivers and puts services together.

mod images;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::images::compose::CompileContext;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{
        agent_calls::{AgentCalls, SyncCalls},
        api_keys::ApiKeyService,
        audit::AuditLog,
        builds::BuildService,
        login::LoginService,
        logs::KeptLogs,
        ports::Agents,
        projects::ProjectService,
        running::RunningService,
        services::Services,
        starter_files::ZoneStarterFiles,
        studios::{StarterFiles, StudioRemains, StudioService},
        sync::{SyncParts, SyncService},
        tasks::TaskService,
        templates::TemplateService,
        users::UserService,
        zones::{RetireZones, ZoneService},
    },
    builder::{Builder, external::ExternalBlocks},
    clock::SharedClock,
    domain::app_url::AppUrls,
    instance::Instance,
    runtime::{
        Runtime,
        kubernetes::{KubernetesRuntime, KubernetesSettings},
        process::{ProcessConfig, ProcessRuntime},
    },
    server::{RuntimeChoice, ServerError},
    store::{Store, sqlite::Sqlite},
    zones::{Zones, local::LocalZones},
};

pub use crate::runtime::kubernetes::{ClusterError, SettingsError};

/// The instance's store.
pub async fn store(instance: &Instance) -> Result<Arc<dyn Store>, ServerError> {
    Ok(Arc::new(Sqlite::open(&instance.path("state.db")).await?))
}

/// What an instance's services are opened with.
pub struct Opening<'a> {
    pub instance: &'a Instance,
    pub store: Arc<dyn Store>,
    pub clock: &'a SharedClock,
    pub agents: Arc<dyn AgentCalls>,
    pub runtime: &'a RuntimeChoice,
    /// For install scripts: proxies, package mirrors, CA bundle.
    pub environment: BTreeMap<String, String>,
    pub app_urls: AppUrls,
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Services of an instance, on the drivers that it is configured with.
pub async fn open(opening: Opening<'_>) -> Result<Arc<Services>, ServerError> {
    let Opening {
        instance, store, clock, agents, environment, app_urls, tracker, shutdown, ..
    } = opening;
    let zones: Arc<dyn Zones> =
        Arc::new(LocalZones::new(instance.path("zones"), Arc::clone(clock)));
    let (builder, base) = images::builder(instance, opening.runtime, environment.clone()).await?;
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let external = ExternalBlocks::new(instance.path("blocks"), environment.clone());
    let context = CompileContext { base, platform, build_env: environment };
    let audit = AuditLog::new(Arc::clone(&store), Arc::clone(clock));
    let templates = Arc::new(TemplateService::new(Arc::clone(&store), Arc::clone(clock), audit));
    let starter_files =
        Arc::new(ZoneStarterFiles::new(Arc::clone(&store), templates, Arc::clone(&zones)));
    let remains = Arc::new(RetireZones(Arc::clone(&zones)));
    Ok(services(Parts {
        store,
        clock: Arc::clone(clock),
        builder,
        external,
        context,
        starter_files,
        remains,
        agents,
        zones,
        app_urls,
        logs: instance.path("logs"),
        tracker,
        shutdown,
    }))
}

/// Where studios of an instance run.
pub async fn runtime(
    instance: &Instance,
    choice: &RuntimeChoice,
    environment: BTreeMap<String, String>,
) -> Result<Arc<dyn Runtime>, ServerError> {
    match choice {
        RuntimeChoice::Process { agent } => process(instance, agent, environment),
        RuntimeChoice::Kubernetes { settings, .. } => {
            let settings = match settings {
                Some(file) => KubernetesSettings::read(file)?,
                None => KubernetesSettings::default(),
            };
            let installation = instance.secret("installation.id")?;
            let installation = crate::auth::token::digest(&installation);
            let installation = data_encoding::HEXLOWER.encode(&installation).split_off(44);
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let program = format!("{host}:{}", instance.path("").display());
            // What this machine needs to reach the world is not what the cluster's nodes need.
            let env = BTreeMap::new();
            Ok(Arc::new(KubernetesRuntime::open(settings, installation, program, env).await?))
        }
    }
}

fn process(
    instance: &Instance,
    agent: &Path,
    environment: BTreeMap<String, String>,
) -> Result<Arc<dyn Runtime>, ServerError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| ServerError::Io { what, source }
    };
    let launcher = std::env::current_exe().map_err(failed("this program can't be found"))?;
    let node_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let config = ProcessConfig {
        root: instance.path("studios"),
        images: instance.path("prefix").join("images"),
        launcher,
        agent: agent.to_owned(),
        env: environment,
        node_name,
    };
    let runtime = ProcessRuntime::open(config);
    let runtime = runtime.map_err(failed("studios' folder, images or the agent can't be used"))?;
    Ok(Arc::new(runtime))
}

/// What services are made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: SharedClock,
    pub builder: Arc<dyn Builder>,
    /// Executables of the administrator that are blocks.
    pub external: ExternalBlocks,
    pub context: CompileContext,
    pub starter_files: Arc<dyn StarterFiles>,
    pub remains: Arc<dyn StudioRemains>,
    pub agents: Arc<dyn AgentCalls>,
    pub zones: Arc<dyn Zones>,
    pub app_urls: AppUrls,
    /// Folder of logs that outlive their pods.
    pub logs: PathBuf,
    /// Gets what goes on behind requests; whoever made it waits for that.
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}

/// All services on a store.
pub fn services(parts: Parts) -> Arc<Services> {
    let Parts { store, clock, builder, context, starter_files, remains, agents, .. } = parts;
    let zone_files = parts.zones;
    let audit = AuditLog::new(Arc::clone(&store), Arc::clone(&clock));
    let with = || (Arc::clone(&store), Arc::clone(&clock), audit.clone());
    let (s, c, a) = with();
    let login = Arc::new(LoginService::new(s, c, a));
    let (s, c, a) = with();
    let users = UserService::new(s, c, a);
    let (s, c, a) = with();
    let api_keys = ApiKeyService::new(s, c, a);
    let projects = Arc::new(ProjectService::new(Arc::clone(&store), audit.clone()));
    let (s, c, a) = with();
    let templates = Arc::new(TemplateService::new(s, c, a));
    let (s, c, a) = with();
    let builds =
        BuildService::new(s, c, a, Arc::clone(&templates), builder, parts.external, context);
    let tasks = TaskService::new(Arc::clone(&store), Arc::clone(&clock));
    let (s, c, a) = with();
    let studios = StudioService::new(
        s,
        c,
        a,
        Arc::clone(&projects),
        Arc::clone(&templates),
        Arc::clone(&tasks),
        starter_files,
        remains,
    );
    let studios = Arc::new(studios);
    let zones = ZoneService::new(
        Arc::clone(&store),
        audit.clone(),
        Arc::clone(&projects),
        Arc::clone(&studios),
        Arc::clone(&zone_files),
    );
    let (s, _, a) = with();
    let sync = SyncService::new(SyncParts {
        store: s,
        audit: a,
        studios: Arc::clone(&studios),
        tasks: Arc::clone(&tasks),
        zones: zone_files,
        agents: Arc::clone(&agents) as Arc<dyn SyncCalls>,
        views: Arc::clone(&agents) as Arc<dyn Agents>,
        clock: Arc::clone(&clock),
        tracker: parts.tracker.clone(),
        shutdown: parts.shutdown.clone(),
    });
    let kept_logs = Arc::new(KeptLogs::new(parts.logs));
    let views = Arc::clone(&agents) as Arc<dyn Agents>;
    let running =
        RunningService::new(Arc::clone(&studios), agents, audit.clone(), Arc::clone(&kept_logs));
    Arc::new(Services {
        store,
        clock,
        audit,
        login,
        users,
        api_keys,
        projects,
        templates,
        builds,
        tasks,
        studios,
        running,
        zones,
        sync,
        agents: views,
        app_urls: parts.app_urls,
        kept_logs,
        tracker: parts.tracker,
        shutdown: parts.shutdown,
    })
}
