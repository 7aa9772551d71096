//! The mounts' watches, which outlive runs: so a run looks only where something changed.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use proto::agent::v1::MountSight;
use sync::{Sight, Watch};
use tokio::sync::Notify;

/// A mount's watch, and who waits for it.
#[derive(Clone)]
pub(crate) struct Watched {
    pub watch: Arc<Watch>,
    /// Something may have changed.
    pub changed: Arc<Notify>,
    /// The last run, in milliseconds.
    took_ms: Arc<AtomicU64>,
    told: Arc<Mutex<Option<MountSight>>>,
}

impl Watched {
    /// How often to look, where nothing is heard of.
    pub(crate) fn look_every(&self) -> Duration {
        let took = Duration::from_millis(self.took_ms.load(Ordering::Relaxed));
        self.watch.sight().look_every(took)
    }

    /// After a run: what the control plane does not know yet of how changes are seen.
    pub(crate) fn news(&self, mount: &str, is_live: bool, took: Duration) -> Option<MountSight> {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.took_ms.store(took_ms, Ordering::Relaxed);
        let (watching, reason) = match self.watch.sight() {
            Sight::NotYet => return None,
            Sight::Watching { .. } => (true, String::new()),
            Sight::Blind { reason } => (false, reason),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // The pause follows the last run; its every move is no news.
        let is_same = told.as_ref().is_some_and(|told| {
            (told.watching, &told.reason, told.look_every_ms > 0)
                == (watching, &reason, is_live && !watching)
        });
        if is_same {
            return None;
        }
        let pause = if is_live && !watching { self.look_every() } else { Duration::ZERO };
        let look_every_ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        let sight = MountSight { mount_id: mount.to_owned(), watching, reason, look_every_ms };
        *told = Some(sight.clone());
        Some(sight)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.watch.sight())
    }
}

/// By the folder of what is remembered, since a watch belongs to one memory. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<HashMap<PathBuf, Watched>>>);

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watches")
    }
}

impl Watches {
    /// The same one as long as the agent lives.
    pub(crate) fn of(&self, state_dir: &std::path::Path) -> Watched {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = watches.entry(state_dir.to_path_buf()).or_insert_with(|| {
            let changed = Arc::new(Notify::new());
            let notify = Arc::clone(&changed);
            Watched {
                watch: Arc::new(Watch::new(move || notify.notify_one())),
                changed,
                took_ms: Arc::default(),
                told: Arc::default(),
            }
        });
        watched.clone()
    }
}
