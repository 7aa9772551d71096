//! The mounts' watches, which outlive runs: so a run looks only where something changed.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sync::Watch;
use tokio::sync::Notify;

/// A mount's watch, and who waits for it.
#[derive(Clone)]
pub(crate) struct Watched {
    pub watch: Arc<Watch>,
    /// Something may have changed.
    pub changed: Arc<Notify>,
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
            Watched { watch: Arc::new(Watch::new(move || notify.notify_one())), changed }
        });
        watched.clone()
    }
}
