//! The one place that names drivers and puts services together.

use std::sync::Arc;

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
        studios::{StarterFiles, StudioRemains, StudioService},
        tasks::TaskService,
        templates::TemplateService,
        users::UserService,
        zones::ZoneService,
    },
    builder::Builder,
    clock::SharedClock,
    store::Store,
    zones::Zones,
};

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
    let login = LoginService::new(s, c, a);
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
