//! The end, in order, within a grace.
//!
//! ```text
//! TERM / Drain ─▶ DRAINING ─▶ synchronise ─▶ actions, sessions ─▶ entrypoints ─▶ orphans ─▶ reap
//!                                                         ─▶ synchronise the rest ─▶ ENDED ─▶ exit
//! ```
//! Invariants: it begins once; a second TERM neither restarts nor shortens it; it ends within the grace, control plane or not.

mod certificate;
mod run;

pub(crate) use run::run;

use std::time::Duration;

use tokio::sync::watch;

/// A wish to end.
#[derive(Debug, Clone)]
pub(crate) struct DrainWanted {
    /// Instead of the manifest's.
    pub grace: Option<Duration>,
    /// For people.
    pub reason: String,
    /// Nobody is there to take the files, as the control plane knows.
    pub without_sync: bool,
}

/// Whether the end has been asked for.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<Option<DrainWanted>>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Drain {
    /// The first wish counts; a later one may only take the synchronisation back.
    pub(crate) fn want(&self, wanted: DrainWanted) {
        self.0.send_if_modified(|now| match now {
            None => {
                *now = Some(wanted);
                true
            }
            Some(now) if wanted.without_sync && !now.without_sync => {
                now.without_sync = true;
                true
            }
            Some(_) => false,
        });
    }

    /// Waits for the first wish. Cancel safe.
    pub(crate) async fn wanted(&self) -> DrainWanted {
        self.until(|_| true).await
    }

    /// Waits until synchronisation is not wanted. Cancel safe.
    pub(crate) async fn without_sync(&self) {
        self.until(|wanted| wanted.without_sync).await;
    }

    async fn until(&self, good: impl Fn(&DrainWanted) -> bool) -> DrainWanted {
        let mut wanted = self.0.subscribe();
        loop {
            let now = wanted.borrow_and_update().clone();
            if let Some(now) = now.filter(|now| good(now)) {
                return now;
            }
            if wanted.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
