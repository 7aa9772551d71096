//! All services together, as the edges get them.

use std::sync::Arc;

use super::{
    api_keys::ApiKeyService, audit::AuditLog, builds::BuildService, login::LoginService,
    projects::ProjectService, running::RunningService, studios::StudioService, sync::SyncService,
    tasks::TaskService, templates::TemplateService, users::UserService, zones::ZoneService,
};
use crate::{clock::SharedClock, store::Store};

pub struct Services {
    pub store: Arc<dyn Store>,
    pub clock: SharedClock,
    pub audit: AuditLog,
    pub login: Arc<LoginService>,
    pub users: UserService,
    pub api_keys: ApiKeyService,
    pub projects: Arc<ProjectService>,
    pub templates: Arc<TemplateService>,
    pub builds: Arc<BuildService>,
    pub tasks: Arc<TaskService>,
    pub studios: Arc<StudioService>,
    pub running: RunningService,
    pub zones: ZoneService,
    pub sync: Arc<SyncService>,
}
