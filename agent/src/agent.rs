//! The agent's parts, put together. Everything that outlives a connection hangs here.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use crate::actions::Actions;
use crate::config::Config;
use crate::connection::Credential;
use crate::drain::Drain;
use crate::events::Events;
use crate::ids::random_id;
use crate::launch::Launch;
use crate::mounts::Mounts;
use crate::sessions::Sessions;
use crate::supervise::Supervisor;
use crate::sync_wanted::SyncRequests;
use crate::sys::Reaper;

/// Shared by all services.
#[derive(Debug)]
pub(crate) struct Agent {
    pub config: Config,
    /// Names this process; a new one has another.
    pub boot_id: String,
    /// Whoever spawns a task spawns it here.
    pub tasks: TaskTracker,
    pub reaper: Reaper,
    pub events: Events,
    pub launch: Launch,
    pub sessions: Sessions,
    pub actions: Actions,
    pub supervisor: Supervisor,
    pub sync_requests: SyncRequests,
    pub drain: Drain,
    pub credential: Credential,
    /// The control plane wants the bulk connection.
    pub bulk_wanted: Notify,
    /// The control plane has admitted the agent anew: an older bulk connection is nobody's.
    pub bulk_stale: Notify,
    /// Whether the control connection is there and admitted.
    pub connected: watch::Sender<bool>,
    pub mounts: Mounts,
}

impl Agent {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let tasks = TaskTracker::new();
        let reaper = Reaper::default();
        let events = Events::default();
        let launch = Launch::new(&config, events.clone());
        let sessions = Sessions::new(reaper.clone(), events.clone(), tasks.clone());
        Arc::new(Self {
            boot_id: random_id(),
            actions: Actions::new(sessions.clone(), launch.clone(), tasks.clone()),
            supervisor: Supervisor::new(
                reaper.clone(),
                events.clone(),
                launch.clone(),
                tasks.clone(),
            ),
            sync_requests: SyncRequests::new(events.clone()),
            drain: Drain::default(),
            credential: Credential::new(config.token.clone()),
            bulk_wanted: Notify::new(),
            bulk_stale: Notify::new(),
            connected: watch::Sender::new(false),
            mounts: Mounts::default(),
            config,
            tasks,
            reaper,
            events,
            launch,
            sessions,
        })
    }
}
