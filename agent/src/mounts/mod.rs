//! The studio's side of synchronisation, seen from the network: a gRPC stream on one side, a blocking engine on the other.
//!
//! ```text
//! gRPC frames ─▶ feeder ─▶ [4 messages] ─▶ Link::recv ─┐
//!                                                      engine, on a blocking thread
//! gRPC frames ◀──────────◀ [4 messages] ◀─ Link::send ─┘
//! ```
//! Invariants: one run a mount at a time; at most four messages (of 1 MiB) wait in each direction, so a slow network slows the
//! engine down and costs no memory; when either end goes, the other one learns it.

mod engine;
mod exchange;
mod link;
mod live;
mod watches;

pub(crate) use engine::serve;
pub(crate) use exchange::exchange;
use link::Link;
pub(crate) use live::{Live, set_live};
pub(crate) use watches::{Watched, Watches};

use std::collections::HashSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::agent::v1::Mount;
use sync::CancelFlag;
use tokio::sync::Notify;

use crate::launch::Plan;

/// One mount, as an engine needs it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub root: PathBuf,
    /// For index and base; not inside the root.
    pub state_dir: PathBuf,
    /// Of the pod: a new one forgets the base.
    pub identity: String,
    pub one_way: bool,
    pub exclusions: Vec<String>,
    /// `None`: each run looks at everything.
    pub watched: Option<Watched>,
}

/// Answers the control plane's side of one run. Blocking. The error is for people.
pub(crate) type Engine = fn(&Target, &mut Link, &CancelFlag) -> Result<(), String>;

/// Which mounts are being synchronised. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts {
    taken: Arc<Mutex<HashSet<String>>>,
    freed: Arc<Notify>,
    pub watches: Watches,
    pub live: Live,
}

/// How long a run waits for the one before it, whose end the other side may know first.
const WAIT_FOR_LAST: Duration = Duration::from_secs(10);

/// A mount that is being synchronised, until dropped.
#[derive(Debug)]
pub(crate) struct Busy {
    mounts: Mounts,
    id: String,
}

impl Mounts {
    /// `None` while another run has the mount.
    pub(crate) fn take(&self, id: &str) -> Option<Busy> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        taken.then(|| Busy { mounts: self.clone(), id: id.to_owned() })
    }

    /// Waits a little for a run that is about to end.
    pub(crate) async fn take_soon(&self, id: &str) -> Option<Busy> {
        let freed = async {
            loop {
                let mut freed = pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(busy) = self.take(id) {
                    return busy;
                }
                freed.await;
            }
        };
        tokio::time::timeout(WAIT_FOR_LAST, freed).await.ok()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.mounts.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.mounts.freed.notify_waiters();
    }
}

/// Where a mount lies, and where its state does. Ids come from the control plane and name a folder: so they are hashed.
pub(crate) fn target(
    plan: &Plan,
    mount: &Mount,
    state_dir: &std::path::Path,
    identity: &str,
    watches: &Watches,
) -> Target {
    let name = blake3::hash(mount.id.as_bytes()).to_hex();
    let state_dir = state_dir.join("sync").join(name.as_str());
    Target {
        watched: Some(watches.of(&state_dir)),
        root: plan.folder(&mount.target),
        state_dir,
        identity: identity.to_owned(),
        one_way: mount.one_way,
        exclusions: mount.exclusions.clone(),
    }
}
