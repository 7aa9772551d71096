//! Filling a pod before its entrypoints start, and bringing its files back when it ends.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sync::{Direction, Meter, OnConflict, Request};
use tokio::sync::watch;

use super::{
    SyncService, report,
    run::{self, Order},
};
use crate::{
    app::{
        AppError,
        ports::{FileProgress, FileSync, FinalSync},
    },
    domain::{
        ids::{Login, StudioId},
        launch::Mount,
        mounts::SyncCause,
        studio::Studio,
        sync::{OpenIssues, Recovered},
        zone_files::Author,
    },
};

/// Between two words on how far a fill is.
const TOLD_EVERY: Duration = Duration::from_millis(250);

#[async_trait]
impl FileSync for Arc<SyncService> {
    async fn declare_mounts(&self, studio: &Studio, mounts: &[Mount]) -> Result<(), AppError> {
        // Of an incarnation that was lost.
        self.watches.forget(&studio.id);
        Ok(self.store.put_mounts(&studio.id, studio.epoch, mounts).await?)
    }

    async fn fill(
        &self,
        studio: &Studio,
        progress: watch::Sender<FileProgress>,
    ) -> Result<(), AppError> {
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let mounts = self.mounts_of(studio).await?;
        let count = u32::try_from(mounts.len()).unwrap_or(u32::MAX);
        let mut so_far = FileProgress { mounts: count, ..FileProgress::default() };
        progress.send_replace(so_far);
        for mount in &mounts {
            let meter = Meter::default();
            let request = Request { direction: Direction::ToStudio, ..Request::default() };
            let order = Order::new(request, Author::server(), SyncCause::Start);
            let run = self.run_mount(studio, mount, order, meter.clone());
            let mut run = std::pin::pin!(run);
            let mut ticks = tokio::time::interval(TOLD_EVERY);
            let done = loop {
                tokio::select! {
                    done = &mut run => break done?,
                    _ = ticks.tick() => {
                        let now = meter.now();
                        progress.send_replace(FileProgress {
                            files: so_far.files + now.files_done,
                            bytes: so_far.bytes + now.bytes,
                            ..so_far
                        });
                    }
                }
            };
            let outcome = done.outcome.map_err(|error| run::why(&error))?;
            so_far.mounts_done += 1;
            so_far.files += outcome.studio_changes.len() as u64;
            so_far.bytes += outcome.stats.bytes_sent;
            progress.send_replace(so_far);
            self.keep_open_issues(studio, mount, &outcome).await?;
        }
        Ok(())
    }

    async fn recover(&self, studio: &Studio) -> Result<Recovered, AppError> {
        self.recover_all(studio).await
    }

    async fn shadowed(&self, studio: &Studio) -> Result<u64, AppError> {
        self.count_shadowed(studio).await
    }

    async fn final_result(&self, studio: &StudioId, epoch: u64) -> Option<FinalSync> {
        let declared = self.store.mounts(studio).await.ok()??;
        if declared.epoch == epoch { declared.last } else { None }
    }

    async fn bring_back(&self, studio: &Studio, author: &Login) -> Result<FinalSync, AppError> {
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let author = self.author(author, &studio.id).await?;
        let mut last = FinalSync::default();
        for mount in self.mounts_of(studio).await?.iter().filter(|mount| !mount.one_way) {
            let request = Request {
                direction: Direction::ToServer,
                on_conflict: OnConflict::KeepBoth,
                ..Request::default()
            };
            let order = Order::new(request, author.clone(), SyncCause::Stop);
            let run = self.run_merging(studio, mount, order, Meter::default()).await;
            match run.and_then(|run| run.outcome.map_err(|error| run::why(&error))) {
                Ok(outcome) => {
                    // Conflicts have become two files; a question waits.
                    self.keep_open_issues(studio, mount, &outcome).await?;
                    let kept = u32::try_from(outcome.kept_both.len()).unwrap_or(u32::MAX);
                    last.kept_both = last.kept_both.saturating_add(kept);
                    let missing = outcome.skipped.iter().filter(|skipped| !skipped.special);
                    last.left_behind.extend(missing.map(|skipped| {
                        format!("{}/{}: {}", mount.target, skipped.path, skipped.reason)
                    }));
                }
                Err(error) => last.left_behind.push(format!("{}: {error}", mount.target)),
            }
        }
        Ok(last)
    }
}

impl SyncService {
    /// What the studio's present incarnation mounts, as it is set.
    pub(super) async fn mounts_of(&self, studio: &Studio) -> Result<Vec<Mount>, AppError> {
        let declared = self.store.mounts(&studio.id).await?;
        let declared = declared.filter(|declared| declared.epoch == studio.epoch);
        let declared = declared.ok_or_else(|| {
            AppError::conflict("the studio does not run yet: its files are not there")
        })?;
        let mut mounts = declared.mounts;
        self.apply_settings(&studio.id, &mut mounts).await?;
        Ok(mounts)
    }

    /// Whose name commits get.
    pub(super) async fn author(
        &self,
        login: &Login,
        studio: &StudioId,
    ) -> Result<Author, AppError> {
        let user = self.store.user(login).await?;
        let (name, email) = user.map(|user| (user.name, user.email)).unwrap_or_default();
        Ok(Author::user(login, &name, &email, Some(studio.clone())))
    }

    /// Keeps what waits for an answer.
    pub(super) async fn keep_open_issues(
        &self,
        studio: &Studio,
        mount: &Mount,
        outcome: &sync::Outcome,
    ) -> Result<(), AppError> {
        let slow = self.watches.of(&studio.id, &mount.id).losses().span();
        let told = report::mount_result(mount, outcome, slow);
        let mut open = OpenIssues { conflicts: told.conflicts, questions: told.questions };
        self.name_authors(studio, mount, &mut open.conflicts).await;
        let open = serde_json::to_value(&open)
            .map_err(|error| AppError::internal("keeping what is open", error))?;
        self.store.put_open_issues(&studio.id, &mount.id, &open).await?;
        self.studios.touch(&studio.id);
        Ok(())
    }
}
