//! One at a time, by key: who comes second waits, and finds it done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Keys that somebody works on.
#[derive(Default)]
pub(super) struct Busy(Mutex<BTreeMap<String, Weak<Mutex<()>>>>);

impl Busy {
    pub(super) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut keys = self.0.lock().await;
            keys.retain(|_, lock| lock.strong_count() > 0);
            let known = keys.get(key).and_then(Weak::upgrade);
            let lock = known.unwrap_or_default();
            keys.insert(key.to_owned(), Arc::downgrade(&lock));
            lock
        };
        lock.lock_owned().await
    }
}
