//! The one place that names drivers and puts services together.

use std::{collections::BTreeMap, sync::Arc};

use images::compose::CompileContext;

use crate::{
    app::{
        agent_calls::AgentCalls,
        api_keys::ApiKeyService,
        audit::AuditLog,
        builds::BuildService,
        login::LoginService,
        projects::ProjectService,
        running::RunningService,
        services::Services,
        starter_files::ZoneStarterFiles,
        studios::{StarterFiles, StudioRemains, StudioService},
        tasks::TaskService,
        templates::TemplateService,
        users::UserService,
        zones::{RetireZones, ZoneService},
    },
    builder::{Builder, prefix::PrefixBuilder},
    clock::SharedClock,
    instance::Instance,
    server::ServerError,
    store::{Store, sqlite::Sqlite},
    zones::{Zones, local::LocalZones},
};

/// The instance's store.
pub async fn store(instance: &Instance) -> Result<Arc<dyn Store>, ServerError> {
    Ok(Arc::new(Sqlite::open(&instance.path("state.db")).await?))
}

/// Services of an instance, on the drivers that it is configured with.
pub fn open(
    instance: &Instance,
    store: Arc<dyn Store>,
    clock: &SharedClock,
    agents: Arc<dyn AgentCalls>,
    environment: BTreeMap<String, String>,
) -> Result<Arc<Services>, ServerError> {
    let zones: Arc<dyn Zones> =
        Arc::new(LocalZones::new(instance.path("zones"), Arc::clone(clock)));
    let prefix = PrefixBuilder::open(&instance.path("prefix"), environment.clone());
    let prefix = prefix.map_err(|source| ServerError::Io {
        what: "the builder's folder can't be used".into(),
        source,
    })?;
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let context = CompileContext { base: "machine".into(), platform, build_env: environment };
    let audit = AuditLog::new(Arc::clone(&store), Arc::clone(clock));
    let templates = Arc::new(TemplateService::new(Arc::clone(&store), Arc::clone(clock), audit));
    let starter_files =
        Arc::new(ZoneStarterFiles::new(Arc::clone(&store), templates, Arc::clone(&zones)));
    let remains = Arc::new(RetireZones(Arc::clone(&zones)));
    let (clock, builder) = (Arc::clone(clock), Arc::new(prefix));
    Ok(services(store, clock, builder, context, starter_files, remains, agents, zones))
}

/// All services on a store.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different driver or port; a struct of them would be built once too"
)]
pub fn services(
    store: Arc<dyn Store>,
    clock: SharedClock,
    builder: Arc<dyn Builder>,
    context: CompileContext,
    starter_files: Arc<dyn StarterFiles>,
    remains: Arc<dyn StudioRemains>,
    agents: Arc<dyn AgentCalls>,
    zones: Arc<dyn Zones>,
) -> Arc<Services> {
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
    let builds = BuildService::new(s, c, a, Arc::clone(&templates), builder, context);
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
        zones,
    );
    let running = RunningService::new(Arc::clone(&studios), agents, audit.clone());
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
    })
}
