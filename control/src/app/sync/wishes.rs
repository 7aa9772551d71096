//! What agents ask for by themselves: a synchronisation before and after their entrypoints end, or because somebody in the
//! container wants one.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::SyncService;
use crate::{
    app::{
        AppError,
        agent_calls::{SyncWish, WishReason},
        ports::FileSync as _,
    },
    domain::{
        studio::Studio,
        sync::{FinalSync, SyncOrder, SyncResult},
    },
};

impl SyncService {
    /// Fulfils wishes until there are no more to come, or the server ends.
    pub async fn fulfil_wishes(self: Arc<Self>, mut wishes: mpsc::Receiver<SyncWish>) {
        while let Some(Some(wish)) = self.shutdown.run_until_cancelled(wishes.recv()).await {
            let service = Arc::clone(&self);
            self.tracker.spawn(async move {
                let done = service.fulfil(&wish).await;
                let (ok, message) = match done {
                    Ok(message) => (true, message),
                    Err(error) => (false, error.to_string()),
                };
                let told = service.agents.sync_ended(&wish.studio, &wish.id, ok, &message).await;
                if let Err(error) = told {
                    // It asks again when it is back.
                    tracing::warn!(studio = %wish.studio, %error, "the agent can't be told of its synchronisation");
                }
            });
        }
    }

    async fn fulfil(self: &Arc<Self>, wish: &SyncWish) -> Result<String, AppError> {
        let studio = self.store.studio(&wish.studio).await?;
        let studio = studio.filter(|studio| studio.epoch == wish.epoch);
        let studio =
            studio.ok_or_else(|| AppError::not_found("incarnation of the studio", wish.epoch))?;
        match &wish.reason {
            WishReason::Live { mount } => {
                self.synchronise_live(&studio, mount).await?;
                Ok(String::new())
            }
            WishReason::User => {
                let result =
                    self.synchronise(&studio, &SyncOrder::default(), &studio.owner).await?;
                Ok(in_words(&result))
            }
            WishReason::DrainBeforeStop => {
                let done = self.bring_back(&studio, &studio.owner).await?;
                let mut kept = self.kept_before.lock().expect("nobody panics while they hold this");
                kept.insert(studio.id.clone(), (studio.epoch, done.kept_both));
                Ok(in_short(&done))
            }
            WishReason::DrainAfterStop => {
                let mut last = self.bring_back(&studio, &studio.owner).await?;
                last.kept_both += self.take_kept_before(&studio);
                self.keep_final(&studio, &last).await?;
                Ok(in_short(&last))
            }
        }
    }

    /// What the synchronisation before the end has kept as two files is not kept once more by the one after it.
    fn take_kept_before(&self, studio: &Studio) -> u32 {
        let mut kept = self.kept_before.lock().expect("nobody panics while they hold this");
        match kept.remove(&studio.id) {
            Some((epoch, count)) if epoch == studio.epoch => count,
            Some(_) | None => 0,
        }
    }

    async fn keep_final(&self, studio: &Studio, last: &FinalSync) -> Result<(), AppError> {
        self.watches.forget(&studio.id);
        Ok(self.store.put_final_sync(&studio.id, studio.epoch, last).await?)
    }
}

fn in_short(last: &FinalSync) -> String {
    if last.left_behind.is_empty() {
        return "all files are back".to_owned();
    }
    format!("not brought back: {}", last.left_behind.join(", "))
}

/// One line for people.
pub(super) fn in_words(result: &SyncResult) -> String {
    let sum = |of: fn(&crate::domain::sync::MountResult) -> usize| -> usize {
        result.mounts.iter().map(of).sum()
    };
    let mut parts = vec![format!(
        "{} changes to the server, {} to the studio",
        sum(|mount| mount.to_server.len()),
        sum(|mount| mount.to_studio.len())
    )];
    for (count, what) in [
        (sum(|mount| mount.conflicts.len()), "conflicts"),
        (sum(|mount| mount.questions.len()), "questions"),
        (sum(|mount| mount.skipped.len()), "skipped"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}
