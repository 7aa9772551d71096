//! Live mounts: soon after something changed in a zone's folder, or in the studio that says so, they are synchronised.
//!
//! Nobody is asked, so nothing is decided: conflicts are reported and wait, and so do deletions of most files.

use std::{sync::Arc, time::Duration};

use sync::{Lull, Meter, Request};

use super::{
    SyncService,
    run::{self, Order},
    watches::Watched,
};
use crate::{
    app::AppError,
    domain::{
        ids::StudioId,
        launch::Mount,
        mounts::SyncCause,
        studio::{Studio, StudioState},
    },
};

/// Between a run that failed and the next.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl SyncService {
    /// Follows what changes in the zone, as long as the incarnation runs; once.
    pub(super) fn follow(self: &Arc<Self>, studio: &Studio, mount: &Mount) {
        if !mount.live {
            return;
        }
        let Some((watched, ended)) = self.watches.follow(&studio.id, &mount.id) else { return };
        let (service, studio, epoch) = (Arc::clone(self), studio.id.clone(), studio.epoch);
        let mount = mount.id.clone();
        self.tracker.spawn(async move {
            let done = service.while_live(&studio, epoch, &mount, &watched);
            tokio::select! {
                () = done => {}
                () = ended.cancelled() => {}
                () = service.shutdown.cancelled() => {}
            }
            watched.unfollow();
        });
    }

    async fn while_live(
        self: &Arc<Self>,
        studio: &StudioId,
        epoch: u64,
        mount: &str,
        watched: &Watched,
    ) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            tokio::select! {
                () = watched.changed.notified() => {}
                // What no watch tells.
                () = tokio::time::sleep(watched.look_every()) => {}
            }
            let mut lull = Lull::default();
            while let Some(wait) = lull.wait(watched.watch.told()) {
                tokio::time::sleep(wait).await;
            }
            let done = match self.store.studio(studio).await {
                Ok(Some(studio)) if studio.epoch == epoch => {
                    if studio.state == StudioState::Stopped {
                        return;
                    }
                    match self.is_live(&studio, mount).await {
                        Ok(true) => self.synchronise_live(&studio, mount).await,
                        // It was set so; the next run that is live follows again.
                        Ok(false) => return,
                        Err(error) => Err(error),
                    }
                }
                Ok(_) => return,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(()) => pause = SHORTEST_PAUSE,
                Err(error) => {
                    tracing::debug!(%studio, mount, %error, "a live mount was not synchronised");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    watched.changed.notify_one();
                }
            }
        }
    }

    async fn is_live(&self, studio: &Studio, mount: &str) -> Result<bool, AppError> {
        let mounts = self.mounts_of(studio).await?;
        Ok(mounts.iter().any(|known| known.id == mount && known.live))
    }

    /// One run of a live mount.
    pub(super) async fn synchronise_live(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &str,
    ) -> Result<(), AppError> {
        if studio.state != StudioState::Running {
            return Err(AppError::conflict("only a running studio's files can be synchronised"));
        }
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let mounts = self.mounts_of(studio).await?;
        let mount = mounts.into_iter().find(|known| known.id == mount && known.live);
        let mount = mount.ok_or_else(|| AppError::conflict("the mount is not live"))?;
        let author = self.author(&studio.owner, &studio.id).await?;
        let order = Order::new(Request::default(), author, SyncCause::Live);
        let run = self.run_merging(studio, &mount, order, Meter::default()).await?;
        let outcome = run.outcome.map_err(|error| run::why(&error))?;
        let is_open = !outcome.conflicts.is_empty() || !outcome.questions.is_empty();
        // Also what is no more.
        if self.watches.of(&studio.id, &mount.id).is_news(is_open) {
            self.keep_open_issues(studio, &mount, &outcome).await?;
        }
        Ok(())
    }
}
