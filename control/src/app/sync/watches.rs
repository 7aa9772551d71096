//! Watches of zones' folders, one a mount of a studio that runs, since each goes with one memory of what is there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sync::Watch;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{losses::RecentLosses, merge::Unmergeable};
use crate::domain::ids::StudioId;

#[derive(Clone)]
pub(super) struct Watched {
    pub watch: Arc<Watch>,
    /// Something may have changed in the zone's folder.
    pub changed: Arc<Notify>,
    /// The studio has ended.
    ended: CancellationToken,
    is_followed: Arc<AtomicBool>,
    /// The last run left something open, or nobody knows.
    was_open: Arc<AtomicBool>,
    /// The last run, in milliseconds.
    took_ms: Arc<AtomicU64>,
    losses: Arc<Mutex<RecentLosses>>,
    unmergeable: Arc<Mutex<Unmergeable>>,
}

impl Watched {
    fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        Self {
            watch: Arc::new(Watch::new(move || notify.notify_one())),
            changed,
            ended: CancellationToken::new(),
            is_followed: Arc::default(),
            was_open: Arc::new(AtomicBool::new(true)),
            took_ms: Arc::default(),
            losses: Arc::default(),
            unmergeable: Arc::default(),
        }
    }

    pub(super) fn took(&self, took: Duration) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.took_ms.store(took_ms, Ordering::Relaxed);
    }

    /// How often to look at a live mount, where nothing is heard of.
    pub(super) fn look_every(&self) -> Duration {
        let took = Duration::from_millis(self.took_ms.load(Ordering::Relaxed));
        self.watch.sight().look_every(took)
    }

    pub(super) fn losses(&self) -> MutexGuard<'_, RecentLosses> {
        self.losses.lock().expect("nobody panics while they hold this")
    }

    pub(super) fn unmergeable(&self) -> MutexGuard<'_, Unmergeable> {
        self.unmergeable.lock().expect("nobody panics while they hold this")
    }

    /// Nobody follows it any more.
    pub(super) fn unfollow(&self) {
        self.is_followed.store(false, Ordering::Relaxed);
    }

    /// Whether what is open has to be kept: also that nothing is any more.
    pub(super) fn is_news(&self, is_open: bool) -> bool {
        self.was_open.swap(is_open, Ordering::Relaxed) || is_open
    }
}

/// By studio and mount.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<(StudioId, String), Watched>>);

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<(StudioId, String), Watched>> {
        self.0.lock().expect("nobody panics while they hold this")
    }

    /// The same one until the studio has ended.
    pub(super) fn of(&self, studio: &StudioId, mount: &str) -> Watched {
        let mut watches = self.lock();
        let watched = watches.entry((studio.clone(), mount.to_owned()));
        watched.or_insert_with(Watched::new).clone()
    }

    /// Unless nobody has looked yet.
    pub(super) fn find(&self, studio: &StudioId, mount: &str) -> Option<Watched> {
        self.lock().get(&(studio.clone(), mount.to_owned())).cloned()
    }

    /// For the one who follows it, until the token says that the studio has ended; `None`: somebody does.
    pub(super) fn follow(
        &self,
        studio: &StudioId,
        mount: &str,
    ) -> Option<(Watched, CancellationToken)> {
        let watched = self.of(studio, mount);
        let is_first = !watched.is_followed.swap(true, Ordering::Relaxed);
        is_first.then(|| (watched.clone(), watched.ended.clone()))
    }

    /// The studio has ended: nobody needs to see what changes.
    pub(super) fn forget(&self, studio: &StudioId) {
        let mut gone = Vec::new();
        self.lock().retain(|(of, _), watched| {
            let stays = of != studio;
            if !stays {
                gone.push(watched.clone());
            }
            stays
        });
        // Their threads end here, where nothing is locked.
        for watched in gone {
            watched.ended.cancel();
        }
    }
}
