//! What runs and what was done, by mount: for people, and for whoever collects metrics, who gets what was done since this program began.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use sync::{Direction, Meter};
use time::OffsetDateTime;
use tokio::{sync::watch, time::Instant};

use super::run::MountRun;
use crate::{
    app::AppError,
    domain::{
        ids::StudioId,
        mounts::{
            FileInFlight, LastRun, MountStatistics, MountTotals, Moved, SyncCause, SyncProgress,
        },
    },
};

/// Upper ends of the buckets of a run's time, in seconds.
pub const BUCKETS_S: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1_800.0];

/// Of all mounts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// That ended well, and well but for conflicts, questions or files that were left out; and that broke off.
    pub whole: u64,
    pub partial: u64,
    pub failed: u64,
    pub moved: Moved,
    /// How many took at most as long as each bucket says, and longer than the one before it.
    pub buckets: [u64; BUCKETS_S.len()],
    pub took: Duration,
}

impl Counts {
    pub const fn runs(&self) -> u64 {
        self.whole + self.partial + self.failed
    }
}

/// Of one mount of a studio.
type Key = (StudioId, String);

struct Running {
    mount: Key,
    meter: Meter,
    began: Instant,
}

#[derive(Default)]
struct Inner {
    /// One mount may have one, and what waits for its turn.
    running: Vec<Running>,
    done: HashMap<Key, MountStatistics>,
    /// Whose statistics of before are among these.
    known: HashSet<StudioId>,
    /// What is not kept yet; somebody is about to.
    news: HashSet<Key>,
    is_keeping: bool,
    counts: BTreeMap<SyncCause, Counts>,
}

/// Everything that is told of synchronisations.
pub(super) struct Activity {
    inner: Mutex<Inner>,
    /// Something began, ended or was set.
    changed: watch::Sender<u64>,
    pub since: OffsetDateTime,
}

/// A run that goes on, until dropped.
pub(super) struct Begun<'a> {
    activity: &'a Activity,
    mount: Key,
    began: Instant,
    began_at: OffsetDateTime,
}

impl Activity {
    pub(super) fn new(since: OffsetDateTime) -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(0), since }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics while they hold this")
    }

    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// `None`: it only looks, and nothing is told of that.
    pub(super) fn begin(
        &self,
        studio: &StudioId,
        mount: &str,
        direction: Direction,
        meter: &Meter,
        now: OffsetDateTime,
    ) -> Option<Begun<'_>> {
        if direction == Direction::Check {
            return None;
        }
        let (mount, began) = ((studio.clone(), mount.to_owned()), Instant::now());
        let running = Running { mount: mount.clone(), meter: meter.clone(), began };
        self.lock().running.push(running);
        self.tell();
        Some(Begun { activity: self, mount, began, began_at: now })
    }

    pub(super) fn progress(&self, studio: &StudioId, mount: &str) -> Option<SyncProgress> {
        let inner = self.lock();
        let is_it = |running: &&Running| running.mount.0 == *studio && running.mount.1 == mount;
        inner.running.iter().find(is_it).map(progress)
    }

    /// Of all mounts of a studio that are being synchronised.
    pub(super) fn progress_of(&self, studio: &StudioId) -> Vec<SyncProgress> {
        let inner = self.lock();
        inner.running.iter().filter(|running| running.mount.0 == *studio).map(progress).collect()
    }

    pub(super) fn done(&self, studio: &StudioId, mount: &str) -> (Option<LastRun>, MountTotals) {
        let done = self.lock().done.get(&(studio.clone(), mount.to_owned())).cloned();
        match done {
            Some(done) => (Some(done.last), done.totals),
            None => (None, nothing_since(self.since)),
        }
    }

    pub(super) fn knows(&self, studio: &StudioId) -> bool {
        self.lock().known.contains(studio)
    }

    /// Takes up what was done before this program.
    pub(super) fn recall(&self, studio: &StudioId, kept: Vec<(String, MountStatistics)>) {
        let mut inner = self.lock();
        // Somebody else may have, and counted on.
        if inner.known.insert(studio.clone()) {
            let kept = kept.into_iter().map(|(mount, done)| ((studio.clone(), mount), done));
            inner.done.extend(kept);
        }
    }

    /// Whether there is something to keep, and nobody does.
    pub(super) fn begin_keeping(&self) -> bool {
        let mut inner = self.lock();
        let begins = !inner.is_keeping && !inner.news.is_empty();
        inner.is_keeping |= begins;
        begins
    }

    /// What has to be kept; `None`: nothing, and nobody does any more.
    pub(super) fn news(&self) -> Option<Vec<(Key, MountStatistics)>> {
        let mut inner = self.lock();
        let keys = std::mem::take(&mut inner.news);
        inner.is_keeping = !keys.is_empty();
        let news = keys.into_iter().filter_map(|key| {
            let done = inner.done.get(&key)?.clone();
            Some((key, done))
        });
        let news: Vec<_> = news.collect();
        (!news.is_empty()).then_some(news)
    }

    pub(super) fn counts(&self) -> BTreeMap<SyncCause, Counts> {
        self.lock().counts.clone()
    }

    pub(super) fn running(&self) -> usize {
        self.lock().running.len()
    }
}

fn nothing_since(since: OffsetDateTime) -> MountTotals {
    MountTotals { since, runs: 0, failed: 0, moved: Moved::default() }
}

fn progress(running: &Running) -> SyncProgress {
    let now = running.meter.now();
    let took = running.began.elapsed().as_millis().max(1);
    let rate = u128::from(now.bytes) * 1000 / took;
    SyncProgress {
        mount: running.mount.1.clone(),
        files_done: now.files_done,
        files: now.files,
        bytes: now.bytes,
        bytes_expected: now.bytes_expected,
        bytes_per_s: u64::try_from(rate).unwrap_or(u64::MAX),
        in_flight: now.in_flight.map(|file| FileInFlight {
            path: file.path.to_string(),
            bytes: file.bytes,
            size: file.size,
        }),
    }
}

impl Begun<'_> {
    /// How it ended.
    pub(super) fn end(&self, cause: SyncCause, merged: u64, run: &Result<MountRun, AppError>) {
        let took = self.began.elapsed();
        let mut last = LastRun {
            cause,
            began_at: self.began_at,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            failure: None,
            moved: Moved::default(),
            skipped: 0,
            questions: 0,
        };
        match run {
            Ok(MountRun { outcome: Ok(outcome), .. }) => {
                last.moved = Moved {
                    to_server: outcome.server_changes.len() as u64,
                    to_studio: outcome.studio_changes.len() as u64,
                    bytes_sent: outcome.stats.bytes_sent,
                    bytes_received: outcome.stats.bytes_received,
                    conflicts: outcome.conflicts.len() as u64,
                    merged,
                };
                let missing = outcome.skipped.iter().filter(|skipped| !skipped.special);
                last.skipped = missing.count() as u64;
                last.questions = outcome.questions.len() as u64;
            }
            Ok(MountRun { outcome: Err(error), .. }) => last.failure = Some(error.chain()),
            Err(error) => last.failure = Some(error.to_string()),
        }
        let mut inner = self.activity.lock();
        let counts = inner.counts.entry(cause).or_default();
        let is_whole = last.moved.conflicts + last.skipped + last.questions == 0;
        match (&last.failure, is_whole) {
            (Some(_), _) => counts.failed += 1,
            (None, true) => counts.whole += 1,
            (None, false) => counts.partial += 1,
        }
        counts.moved += last.moved;
        counts.took += took;
        let bucket = BUCKETS_S.iter().position(|end| took.as_secs_f64() <= *end);
        if let Some(count) = bucket.and_then(|bucket| counts.buckets.get_mut(bucket)) {
            *count += 1;
        }
        let before = inner.done.remove(&self.mount).map(|done| done.totals);
        let mut totals = before.unwrap_or_else(|| nothing_since(self.began_at));
        totals.runs += 1;
        totals.failed += u64::from(last.failure.is_some());
        totals.moved += last.moved;
        inner.done.insert(self.mount.clone(), MountStatistics { last, totals });
        inner.news.insert(self.mount.clone());
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let is_it = |running: &Running| running.mount == self.mount && running.began == self.began;
        self.activity.lock().running.retain(|running| !is_it(running));
        self.activity.tell();
    }
}
