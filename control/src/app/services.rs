//! All services together, as the edges get them.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    api_keys::ApiKeyService, audit::AuditLog, builds::BuildService, login::LoginService,
    logs::KeptLogs, ports::Agents, projects::ProjectService, running::RunningService,
    studios::StudioService, sync::SyncService, tasks::TaskService, templates::TemplateService,
    users::UserService, zones::ZoneService,
};
use crate::{clock::SharedClock, domain::app_url::AppUrls, store::Store};

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
    pub agents: Arc<dyn Agents>,
    pub app_urls: AppUrls,
    pub kept_logs: Arc<KeptLogs>,
    /// Work that goes on behind requests; whoever serves waits for it.
    pub tracker: TaskTracker,
    /// Tells such work, and answers that have no end, to end.
    pub shutdown: CancellationToken,
}
