//! What was done outlives this program: it is kept soon after each run, many runs at once where they come fast. A program that is
//! killed loses the last moment's.

use std::{sync::Arc, time::Duration};

use super::SyncService;
use crate::{app::AppError, domain::ids::StudioId};

/// From one time to the next.
const PAUSE: Duration = Duration::from_secs(1);

impl SyncService {
    /// Takes up what was counted before this program, once a studio; before anything is added to that.
    pub(super) async fn recall(&self, studio: &StudioId) -> Result<(), AppError> {
        if !self.activity.knows(studio) {
            let kept = self.store.mount_statistics(studio).await?;
            self.activity.recall(studio, kept);
        }
        Ok(())
    }

    /// Keeps what is new, unless that goes on already.
    pub(super) fn keep_statistics(self: &Arc<Self>) {
        if !self.activity.begin_keeping() {
            return;
        }
        let service = Arc::clone(self);
        self.tracker.spawn(async move {
            while let Some(news) = service.activity.news() {
                for ((studio, mount), statistics) in news {
                    let kept = service.store.put_mount_statistics(&studio, &mount, &statistics);
                    if let Err(error) = kept.await {
                        // With the next run of the mount.
                        tracing::warn!(%studio, mount, error = &error as &dyn std::error::Error, "statistics are not kept");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = service.shutdown.cancelled() => {}
                }
            }
        });
    }
}
