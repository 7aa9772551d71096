//! A ring that many read while one writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ring::{Piece, Ring, Tag};

/// What happens when the ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// The oldest bytes go.
    Newest { limit_bytes: usize },
    /// The writer waits for the slowest viewer, or for a viewer at all.
    Lossless,
}

/// Lossless: bytes kept after they were handed to a viewer, because its connection may be lost with up to one stream
/// window (4 MiB at most) of them unread.
const LOSSLESS_KEPT_BYTES: u64 = 5 << 20;
/// Lossless: bytes that may wait for the slowest viewer.
const LOSSLESS_UNREAD_BYTES: u64 = 512 << 10;

/// Output of one process or entrypoint.
#[derive(Debug)]
pub(crate) struct Journal {
    inner: Mutex<Inner>,
    retention: Retention,
    /// Changes whenever a viewer or the writer may go on.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    closed: bool,
    next_viewer: u64,
    /// Position of every viewer that is attached.
    viewers: HashMap<u64, u64>,
    /// Where the slowest viewer stood last.
    consumed: u64,
}

impl Inner {
    /// What no viewer waits for any more.
    fn consume(&mut self) {
        if let Some(slowest) = self.viewers.values().min() {
            self.consumed = self.consumed.max(*slowest);
        }
    }
}

impl Journal {
    pub(crate) fn new(retention: Retention) -> Arc<Self> {
        let limit = match retention {
            Retention::Newest { limit_bytes } => limit_bytes,
            Retention::Lossless => {
                usize::try_from(LOSSLESS_KEPT_BYTES + LOSSLESS_UNREAD_BYTES).unwrap_or(usize::MAX)
            }
        };
        let inner = Inner {
            ring: Ring::new(limit),
            closed: false,
            next_viewer: 0,
            viewers: HashMap::new(),
            consumed: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), retention, changed: watch::Sender::new(()) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, and wakes viewers. Call [`Self::room`] first.
    pub(crate) fn append(&self, tag: Tag, bytes: &[u8]) {
        self.inner().ring.append(tag, bytes);
        self.changed.send_replace(());
    }

    /// Returns when bytes may be appended without losing what a viewer waits for. Cancel safe.
    pub(crate) async fn room(&self) {
        if self.retention != Retention::Lossless {
            return;
        }
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let inner = self.inner();
                if inner.closed || inner.ring.end() - inner.consumed < LOSSLESS_UNREAD_BYTES {
                    return;
                }
            }
            // The sender lives in self.
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Nothing will be appended: viewers end when they have read all.
    pub(crate) fn close(&self) {
        self.inner().closed = true;
        self.changed.send_replace(());
    }

    /// One past the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.inner().ring.end()
    }

    pub(crate) fn viewers(&self) -> u32 {
        u32::try_from(self.inner().viewers.len()).unwrap_or(u32::MAX)
    }

    /// Changes when viewers come, go or read, and when bytes arrive.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn offset_since(&self, at_ms: i64) -> u64 {
        self.inner().ring.offset_since(at_ms)
    }

    pub(crate) fn offset_of_tail(&self, lines: u32) -> u64 {
        self.inner().ring.offset_of_tail(lines)
    }

    /// The last `limit` bytes, as text.
    pub(crate) fn tail_text(&self, limit: usize) -> String {
        let inner = self.inner();
        let mut from = inner.ring.end().saturating_sub(limit as u64).max(inner.ring.start());
        let mut bytes = Vec::new();
        while let Some(piece) = inner.ring.read(from, limit) {
            from = piece.end();
            if let Piece::Data { bytes: data, .. } = piece {
                bytes.extend_from_slice(&data);
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads from an offset on. One beyond the end is taken for the end.
    pub(crate) fn view(self: &Arc<Self>, from: u64) -> Viewer {
        let mut inner = self.inner();
        let id = inner.next_viewer;
        inner.next_viewer += 1;
        let position = from.min(inner.ring.end());
        inner.viewers.insert(id, position);
        inner.consume();
        drop(inner);
        self.changed.send_replace(());
        Viewer { changed: self.changed.subscribe(), journal: self.clone(), id, position }
    }
}

/// One reader of a journal. Dropping it detaches it.
#[derive(Debug)]
pub(crate) struct Viewer {
    journal: Arc<Journal>,
    changed: watch::Receiver<()>,
    id: u64,
    position: u64,
}

impl Viewer {
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What is there already, at most `limit` bytes.
    pub(crate) fn try_next(&mut self, limit: usize) -> Option<Piece> {
        let mut inner = self.journal.inner();
        let piece = inner.ring.read(self.position, limit)?;
        self.position = piece.end();
        inner.viewers.insert(self.id, self.position);
        inner.consume();
        drop(inner);
        if self.journal.retention == Retention::Lossless {
            self.journal.changed.send_replace(());
        }
        Some(piece)
    }

    /// Waits for the next piece; `None` when the journal is closed and read to its end. Cancel safe.
    pub(crate) async fn next(&mut self, limit: usize) -> Option<Piece> {
        loop {
            self.changed.mark_unchanged();
            if let Some(piece) = self.try_next(limit) {
                return Some(piece);
            }
            if self.journal.inner().closed || self.changed.changed().await.is_err() {
                return self.try_next(limit);
            }
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut inner = self.journal.inner();
        inner.viewers.remove(&self.id);
        inner.consume();
        drop(inner);
        self.journal.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proto::agent::v1::Channel;

    const TAG: Tag = Tag { channel: Channel::Stdout, at_ms: 0, restart: 0 };

    #[tokio::test]
    async fn viewers_read_at_their_own_pace_and_end_after_the_close() {
        let journal = Journal::new(Retention::Newest { limit_bytes: 4 });
        let mut fast = journal.view(0);
        let mut slow = journal.view(0);
        journal.append(TAG, b"abc");
        assert!(
            matches!(fast.next(9).await, Some(Piece::Data { bytes, .. }) if &bytes[..] == b"abc")
        );
        journal.append(TAG, b"def");
        assert!(
            matches!(fast.next(9).await, Some(Piece::Data { bytes, .. }) if &bytes[..] == b"def")
        );
        assert_eq!(slow.next(9).await, Some(Piece::Gap { from: 0, to: 2 }));
        assert!(
            matches!(slow.next(9).await, Some(Piece::Data { bytes, .. }) if &bytes[..] == b"cdef")
        );
        assert!(slow.next(9).now_or_never().is_none());
        journal.close();
        assert_eq!(slow.next(9).await, None);
        drop((fast, slow));
        assert_eq!(journal.viewers(), 0);
    }

    #[tokio::test]
    async fn a_lossless_writer_waits_for_the_slowest_viewer() {
        let journal = Journal::new(Retention::Lossless);
        let chunk = vec![7; usize::try_from(LOSSLESS_UNREAD_BYTES).unwrap()];
        journal.room().await;
        journal.append(TAG, &chunk);
        assert!(journal.room().now_or_never().is_none(), "nobody has read it");
        let mut viewer = journal.view(0);
        assert!(journal.room().now_or_never().is_none());
        viewer.next(usize::MAX).await;
        journal.room().await;
    }
}
