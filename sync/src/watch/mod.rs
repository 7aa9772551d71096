//! What may have changed since the last look, as the kernel tells it (inotify): so that a look at a hundred thousand files where
//! three were saved looks at three folders.
//!
//! ```text
//! kernel ─▶ session (a thread) ─▶ dirty folders ─▶ Look ─▶ scan of these, or of everything
//!                                      ▲                     │ watches each folder, then reads its names
//!                                      └── what is not settled ◀──┘
//! ```
//! Invariants:
//! * A folder is watched before its names are read: what changes later is told.
//! * A folder stays dirty until a look at it found nothing to tell and nothing to learn; a look that ends early takes nothing away.
//! * Whoever can't see says so: after an overflow, without watches, on a file system whose changes come from elsewhere, or with
//!   another one mounted inside, every look is at everything. So it is every ten minutes, since nobody tells of
//!   writes through a mapping of memory, nor of those by a name that a file was given elsewhere.
//!
//! Deliberately not here: contents and stamps. What is dirty is looked at as always; this only says where.

mod dirty;
mod folders;
mod look;
mod lull;
mod mounts;
mod session;

pub(crate) use dirty::{Item, Work};
pub(crate) use look::{Look, Seen, What};
pub use lull::Lull;
pub(crate) use mounts::is_local;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::{dirty::Dirty, folders::Folders, session::Session};
use crate::{RelPath, clock::Stopwatch, entry::Digest, fs::RootIdentity};

/// A folder below a root; `None`: the root.
type Folder = Option<RelPath>;

/// How long a watch is believed without a look at everything.
pub const FULL_EVERY: Duration = Duration::from_mins(10);
/// How long until watching is tried again where it was impossible.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// Whether changes are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has looked at everything yet.
    NotYet,
    Watching {
        folders: usize,
    },
    /// Each look is at everything; the reason is for people.
    Blind {
        reason: String,
    },
}

/// Least pause between looks at everything in place of a watch, and how many times as long as a look.
const BLIND_PAUSE: Duration = Duration::from_secs(2);
const BLIND_RATIO: u32 = 20;

impl Sight {
    /// How often to look at a live mount without having heard of a change, where a look takes so long.
    pub fn look_every(&self, took: Duration) -> Duration {
        match self {
            Self::NotYet | Self::Watching { .. } => FULL_EVERY,
            Self::Blind { .. } => took.saturating_mul(BLIND_RATIO).clamp(BLIND_PAUSE, FULL_EVERY),
        }
    }
}

/// Watches one root for one memory. To be kept between runs, and handed to each of them in its [`Context`](crate::Context).
pub struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Changes that were told.
    told: AtomicU64,
    looks: AtomicU64,
    full_looks: AtomicU64,
    full_every: Duration,
    notify: Box<dyn Fn() + Send + Sync>,
}

/// What a look at everything found out is true of this root, read with these exclusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ground {
    root: RootIdentity,
    exclusions: Digest,
}

#[derive(Default)]
struct Inner {
    session: Option<Session>,
    /// Of sessions: an end of one is not the end of the next.
    generation: u64,
    folders: Folders,
    dirty: Dirty,
    /// Of what the session watches.
    ground: Option<Ground>,
    /// Since the last look at everything; `None`: it has to come.
    trusted: Option<Stopwatch>,
    /// Whether the last look at everything compared it with what was agreed. If it left that aside, it saw nothing of what is gone, and
    /// the run that it was for may have agreed on it again.
    is_compared: bool,
    blind: Option<Blind>,
}

struct Blind {
    reason: String,
    since: Stopwatch,
    /// It will be the same for a while.
    lasts: bool,
}

impl Watch {
    /// `notify` is called, on another thread, whenever something may have changed; it must not block nor look.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self::looking_everywhere(FULL_EVERY, notify)
    }

    /// With a look at everything at least so often, instead of [`FULL_EVERY`].
    pub fn looking_everywhere(
        full_every: Duration,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            inner: Mutex::default(),
            told: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            full_looks: AtomicU64::new(0),
            full_every,
            notify: Box::new(notify),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn sight(&self) -> Sight {
        let inner = self.shared.lock();
        match (&inner.blind, inner.trusted) {
            (Some(blind), _) => Sight::Blind { reason: blind.reason.clone() },
            (None, None) => Sight::NotYet,
            (None, Some(_)) => Sight::Watching { folders: inner.folders.len() },
        }
    }

    /// Looks at this root so far, and how many of them were at everything.
    pub fn looks(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.shared.looks), count(&self.shared.full_looks))
    }

    /// How many changes were told so far: a storm is over when it stands still.
    pub fn told(&self) -> u64 {
        self.shared.told.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let session = self.shared.lock().session.take();
        if let Some(session) = session {
            session.end();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, count: u64) {
        if count > 0 {
            self.told.fetch_add(count, Ordering::Relaxed);
            (self.notify)();
        }
    }
}

impl Inner {
    /// Sees nothing any more. Whoever gets the session ends it once nothing is locked.
    fn lose(&mut self, reason: impl Into<String>, lasts: bool) {
        let reason = reason.into();
        if self.blind.as_ref().is_none_or(|blind| blind.reason != reason) {
            tracing::warn!(%reason, "changes are not seen: everything is looked at");
        }
        self.blind = Some(Blind { reason, since: Stopwatch::start(), lasts });
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(session) = self.session.take() {
            session.abandon();
        }
        self.generation += 1;
        (self.folders, self.dirty) = (Folders::default(), Dirty::default());
        (self.trusted, self.ground) = (None, None);
    }
}
