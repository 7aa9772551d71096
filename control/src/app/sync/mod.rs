//! Studios' files between their zones and their agents: when, by whom, and what is told of it. How is the engine's business.
//!
//! ```text
//! start, stop ──(ports::FileSync)──┐
//! agents' wishes ──────────────────┤
//! live mounts that changed ────────┤
//! people, as a task ───────────────┴─▶ run: lock zone → engine ⇄ agent → commit
//! ```
//! Invariants: one synchronisation of a studio at a time; nobody else writes to a zone meanwhile; whatever reached a
//! versioned zone is a commit, also when the run broke off; a run goes on to a safe point although its caller is gone.

mod activity;
mod ask;
mod compare;
mod incarnation;
mod link;
mod live;
mod losses;
mod merge;
mod mounts;
mod recover;
mod report;
mod run;
mod shadow;
mod slow;
mod statistics;
mod watches;
mod wishes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use activity::{BUCKETS_S, Counts};

use super::{
    agent_calls::SyncCalls, audit::AuditLog, ports::Agents, studios::StudioService,
    tasks::TaskService,
};
use crate::{clock::SharedClock, domain::ids::StudioId, store::Store, zones::Zones};

/// Synchronises.
pub struct SyncService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
    studios: Arc<StudioService>,
    tasks: Arc<TaskService>,
    zones: Arc<dyn Zones>,
    agents: Arc<dyn SyncCalls>,
    views: Arc<dyn Agents>,
    activity: activity::Activity,
    /// One synchronisation of a studio at a time.
    busy: Mutex<HashMap<StudioId, Arc<tokio::sync::Mutex<()>>>>,
    /// Looks for shadow copies that are under way; they end where somebody wants to synchronise.
    looks: Mutex<HashMap<StudioId, sync::CancelFlag>>,
    /// Conflicts that were kept as two files before a studio's entrypoints ended, by incarnation.
    kept_before: Mutex<HashMap<StudioId, (u64, u32)>>,
    watches: watches::Watches,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

/// What it is made of.
pub struct SyncParts {
    pub store: Arc<dyn Store>,
    pub clock: SharedClock,
    pub audit: AuditLog,
    pub studios: Arc<StudioService>,
    pub tasks: Arc<TaskService>,
    pub zones: Arc<dyn Zones>,
    pub agents: Arc<dyn SyncCalls>,
    /// What agents tell of themselves.
    pub views: Arc<dyn Agents>,
    /// Gets what goes on behind a request; whoever made it waits for that.
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}

impl SyncService {
    pub fn new(parts: SyncParts) -> Arc<Self> {
        let SyncParts {
            store,
            clock,
            audit,
            studios,
            tasks,
            zones,
            agents,
            views,
            tracker,
            shutdown,
        } = parts;
        let (busy, looks, kept_before) = (Mutex::default(), Mutex::default(), Mutex::default());
        let activity = activity::Activity::new(clock.now());
        Arc::new(Self {
            store,
            clock,
            audit,
            studios,
            tasks,
            zones,
            agents,
            views,
            activity,
            busy,
            looks,
            kept_before,
            watches: watches::Watches::default(),
            tracker,
            shutdown,
        })
    }

    /// Whoever holds it synchronises the studio. What only looks at it ends.
    fn turn(&self, studio: &StudioId) -> Arc<tokio::sync::Mutex<()>> {
        if let Some(look) = self.looks().get(studio) {
            look.cancel();
        }
        self.turn_of(studio)
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, HashMap<StudioId, sync::CancelFlag>> {
        self.looks.lock().expect("nobody panics while they hold this")
    }

    fn turn_of(&self, studio: &StudioId) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().expect("nobody panics while they hold this");
        busy.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(busy.entry(studio.clone()).or_default())
    }
}
