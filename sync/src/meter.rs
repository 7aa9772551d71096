//! How far a run is, for whoever wants to know: the engine counts as it goes, and is asked, so that nobody slows it down by
//! listening.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::RelPath;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Things that were made, changed or deleted, or could not be.
    pub files_done: u64,
    /// 0 until it is known what there is to do.
    pub files: u64,
    /// Contents that came or went, in full length also where only their differences did.
    pub bytes: u64,
    pub bytes_expected: u64,
    pub in_flight: Option<InFlight>,
}

/// The file that comes or goes just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    pub path: RelPath,
    pub bytes: u64,
    pub size: u64,
}

/// Counts of one run. Cheap to clone, and to count with.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    files_done: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    bytes_expected: AtomicU64,
    path: Mutex<Option<(RelPath, u64)>>,
    /// Of the file at that path.
    at: AtomicU64,
    /// Somebody looked since a path was noted last.
    is_watched: AtomicBool,
}

impl Meter {
    pub fn now(&self) -> Progress {
        let inner = &*self.0;
        inner.is_watched.store(true, Relaxed);
        let size_of = |(path, size): &(RelPath, u64)| InFlight {
            path: path.clone(),
            bytes: inner.at.load(Relaxed).min(*size),
            size: *size,
        };
        let in_flight = inner.path().as_ref().map(size_of);
        let begun = in_flight.as_ref().map_or(0, |file| file.bytes);
        Progress {
            files_done: inner.files_done.load(Relaxed),
            files: inner.files.load(Relaxed),
            bytes: inner.bytes.load(Relaxed) + begun,
            bytes_expected: inner.bytes_expected.load(Relaxed),
            in_flight,
        }
    }

    /// So much more is to be done.
    pub(crate) fn expect(&self, files: u64, bytes: u64) {
        self.0.files.fetch_add(files, Relaxed);
        self.0.bytes_expected.fetch_add(bytes, Relaxed);
    }

    /// One more thing is done.
    pub(crate) fn done(&self) {
        self.0.files_done.fetch_add(1, Relaxed);
    }

    /// A content begins. Of many small ones, only that is noted which somebody will see.
    pub(crate) fn begin(&self, path: &RelPath, size: u64, is_small: bool) {
        if !is_small || self.0.is_watched.swap(false, Relaxed) {
            *self.0.path() = Some((path.clone(), size));
            self.0.at.store(0, Relaxed);
        }
    }

    /// So much of it came or went.
    pub(crate) fn at(&self, bytes: u64) {
        self.0.at.store(bytes, Relaxed);
    }

    /// It is over, and was so long; 0 where it failed.
    pub(crate) fn end(&self, bytes: u64) {
        let mut path = self.0.path();
        self.0.bytes.fetch_add(bytes, Relaxed);
        *path = None;
    }
}

impl Inner {
    fn path(&self) -> MutexGuard<'_, Option<(RelPath, u64)>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_counts_and_never_twice() {
        let meter = Meter::default();
        let path = RelPath::try_from("big").unwrap();
        meter.expect(2, 110);
        meter.begin(&path, 100, false);
        meter.at(40);
        let now = meter.now();
        assert_eq!((now.bytes, now.bytes_expected, now.files), (40, 110, 2));
        assert_eq!(now.in_flight, Some(InFlight { path: path.clone(), bytes: 40, size: 100 }));
        // It grows while it is read.
        meter.at(130);
        assert_eq!(meter.now().bytes, 100);
        meter.end(130);
        meter.done();
        let now = meter.now();
        assert_eq!((now.bytes, now.files_done, now.in_flight), (130, 1, None));
        // Somebody has looked: one small file is noted, and no other until they look again.
        meter.begin(&path, 10, true);
        meter.end(10);
        meter.begin(&path, 10, true);
        assert_eq!(meter.now().in_flight, None);
        assert_eq!(meter.now().bytes, 140);
    }
}
