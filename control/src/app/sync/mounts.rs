//! Mounts as people see and set them.

use std::{sync::Arc, time::Duration};

use futures_util::Stream;
use sync::{Direction, Meter, Request};

use super::{SyncService, activity::Counts, run::Order};
use crate::{
    app::{AppError, studios::StudioRight},
    domain::{
        agent::AgentView,
        ids::StudioId,
        launch::Mount,
        mounts::{MountSettings, MountState, Sight, SyncCause, SyncProgress},
        permission::Principal,
        studio::{Studio, StudioState},
        zone_files::Author,
    },
};

/// Between two words on how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// What is seen changes without a word from anybody here.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl SyncService {
    /// Of the present incarnation, or the last; none before the first start.
    pub async fn mounts(
        &self,
        who: &Principal,
        id: &StudioId,
    ) -> Result<Vec<MountState>, AppError> {
        self.studios.get(who, id, StudioRight::See).await?;
        self.states(id).await
    }

    async fn states(&self, id: &StudioId) -> Result<Vec<MountState>, AppError> {
        self.recall(id).await?;
        let view = self.views.watch(id).borrow().clone();
        let mounts = self.declared(id).await?;
        Ok(mounts.into_iter().map(|mount| self.state(id, mount, &view)).collect())
    }

    fn state(&self, id: &StudioId, mount: Mount, view: &AgentView) -> MountState {
        let (last, totals) = self.activity.done(id, &mount.id);
        let told = view.mounts.iter().find(|told| told.mount == mount.id);
        MountState {
            server_sight: self.server_sight(id, &mount),
            studio_sight: told.filter(|_| view.connected).map(|told| told.sight.clone()),
            progress: self.activity.progress(id, &mount.id),
            zone: mount.zone.to_string(),
            target: mount.target,
            one_way: mount.one_way,
            live: mount.live,
            merge: mount.merge,
            id: mount.id,
            last,
            totals,
        }
    }

    fn server_sight(&self, id: &StudioId, mount: &Mount) -> Option<Sight> {
        let watched = self.watches.find(id, &mount.id)?;
        let sight = watched.watch.sight();
        let look_every = watched.look_every();
        let look_every_ms = u64::try_from(look_every.as_millis()).unwrap_or(u64::MAX);
        match sight {
            sync::Sight::NotYet => None,
            sync::Sight::Watching { .. } => {
                Some(Sight { watching: true, reason: None, look_every_ms: None })
            }
            sync::Sight::Blind { reason } => Some(Sight {
                watching: false,
                reason: Some(reason),
                look_every_ms: mount.live.then_some(look_every_ms),
            }),
        }
    }

    /// Every state, whenever one has changed, until the caller has enough. Bounded in frequency.
    pub async fn follow_mounts(
        self: &Arc<Self>,
        who: &Principal,
        id: &StudioId,
    ) -> Result<impl Stream<Item = Result<Vec<MountState>, AppError>> + Send + 'static, AppError>
    {
        self.studios.get(who, id, StudioRight::See).await?;
        let (service, id) = (Arc::clone(self), id.clone());
        let mut changes = service.activity.changes();
        Ok(async_stream::try_stream! {
            let mut told = None;
            loop {
                changes.mark_unchanged();
                let now = service.states(&id).await?;
                let moves = now.iter().any(|mount| mount.progress.is_some());
                if told.as_ref() != Some(&now) {
                    yield now.clone();
                    told = Some(now);
                }
                tokio::time::sleep(PROGRESS_EVERY).await;
                if !moves {
                    drop(tokio::time::timeout(LOOK_EVERY, changes.changed()).await);
                }
            }
        })
    }

    /// How far the synchronisations of a studio are, again and again.
    pub fn follow_progress(
        self: &Arc<Self>,
        id: &StudioId,
    ) -> impl Stream<Item = SyncProgress> + Send + 'static {
        let (service, id) = (Arc::clone(self), id.clone());
        async_stream::stream! {
            loop {
                tokio::time::sleep(PROGRESS_EVERY).await;
                for progress in service.activity.progress_of(&id) {
                    yield progress;
                }
            }
        }
    }

    /// Sets a mount from now on, also while it is used.
    pub async fn set_mount(
        self: &Arc<Self>,
        who: &Principal,
        id: &StudioId,
        name: &str,
        wanted: MountSettings,
    ) -> Result<MountState, AppError> {
        let studio = self.studios.get(who, id, StudioRight::Use).await?;
        let declared = self.declared(id).await?;
        if declared.is_empty() {
            return Err(AppError::conflict("the studio has no mounts before its first start"));
        }
        let find = |mounts: Vec<Mount>| mounts.into_iter().find(|mount| mount.id == name);
        let before = find(declared).ok_or_else(|| AppError::not_found("mount", name))?;
        if wanted.merge == Some(true) && before.one_way {
            return Err(AppError::invalid("merge", "what is one-way never has two changes"));
        }
        let settings = self.store.mount_settings(id).await?;
        let kept = settings.into_iter().find(|(mount, _)| mount == name).unwrap_or_default().1;
        let settings =
            MountSettings { live: wanted.live.or(kept.live), merge: wanted.merge.or(kept.merge) };
        self.store.put_mount_settings(id, name, settings).await?;
        let words = |what: &str, on: Option<bool>| {
            on.map(|on| format!(" {what} {}", if on { "on" } else { "off" })).unwrap_or_default()
        };
        let said = format!("{name}{}{}", words("live", wanted.live), words("merge", wanted.merge));
        self.audit.record(&who.login, "studio.mount", id, &said).await?;
        let mut after = before.clone();
        settings.apply(&mut after);
        if after.live != before.live && studio.state == StudioState::Running {
            self.make_known(studio, after.clone());
        }
        self.activity.tell();
        self.studios.touch(id);
        self.recall(id).await?;
        let view = self.views.watch(id).borrow().clone();
        Ok(self.state(id, after, &view))
    }

    /// Tells both ends whether a mount is live: each run with the agent does.
    fn make_known(self: &Arc<Self>, studio: Studio, mount: Mount) {
        let service = Arc::clone(self);
        self.tracker.spawn(async move {
            let done = if mount.live {
                service.synchronise_live(&studio, &mount.id).await
            } else {
                // Whoever follows it on this side looks, and sees that it is over.
                service.watches.of(&studio.id, &mount.id).changed.notify_one();
                let turn = service.turn(&studio.id);
                let _my_turn = turn.lock().await;
                let request = Request { direction: Direction::Check, ..Request::default() };
                let order = Order::new(request, Author::server(), SyncCause::Asked);
                service.run_mount(&studio, &mount, order, Meter::default()).await.map(drop)
            };
            if let Err(error) = done {
                // The agent learns it with the next run, whatever that is for.
                tracing::info!(studio = %studio.id, mount = mount.id, %error, "a mount was set while it can't be reached");
            }
        });
    }

    /// What was declared last, as it is set.
    async fn declared(&self, id: &StudioId) -> Result<Vec<Mount>, AppError> {
        let declared = self.store.mounts(id).await?;
        let mut mounts = declared.map(|declared| declared.mounts).unwrap_or_default();
        self.apply_settings(id, &mut mounts).await?;
        Ok(mounts)
    }

    pub(super) async fn apply_settings(
        &self,
        id: &StudioId,
        mounts: &mut [Mount],
    ) -> Result<(), AppError> {
        for (name, settings) in self.store.mount_settings(id).await? {
            if let Some(mount) = mounts.iter_mut().find(|mount| mount.id == name) {
                settings.apply(mount);
            }
        }
        Ok(())
    }

    /// What was done since this program began, by cause; and how much goes on.
    pub fn counts(&self) -> (std::collections::BTreeMap<SyncCause, Counts>, usize) {
        (self.activity.counts(), self.activity.running())
    }
}
