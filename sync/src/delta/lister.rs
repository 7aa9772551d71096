//! Hashing a content as it passes by, in a thread beside it where it is large.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use super::blocks::{BlockList, WINDOW_BYTES, block_size};
use crate::entry::Digest;

/// From this on a thread pays.
const LARGE_BYTES: u64 = 8 << 20;
/// Windows that wait for the thread.
const WAITING: usize = 4;

/// Makes a [`BlockList`] and the digest of a content that comes in order.
pub(crate) struct BlockLister {
    window: Vec<u8>,
    /// Bytes that were taken, those of the window among them.
    taken: u64,
    block_size: u32,
    /// Of a content of one block, that no list tells.
    alone: Option<Digest>,
    /// A shorter block was taken: nothing may come after it.
    has_ended: bool,
    /// Something came nevertheless.
    is_void: bool,
    hashing: Hashing,
}

enum Hashing {
    Here(BlockList),
    Beside(Beside),
}

struct Beside {
    jobs: SyncSender<Job>,
    /// Windows that were hashed, to be filled again: memory that was never used before costs time.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<BlockList>,
}

enum Job {
    Hash(Vec<u8>),
    /// Blocks with their hashes: a list, and how many of it.
    Same(std::sync::Arc<BlockList>, u64),
    /// Blocks that somebody else hashed.
    Hashed(BlockList),
}

/// Answers the window, if it was one.
fn work(list: &mut BlockList, job: Job) -> Option<Vec<u8>> {
    match job {
        Job::Hash(mut bytes) => {
            list.hash(&bytes);
            bytes.clear();
            Some(bytes)
        }
        Job::Same(other, count) => {
            // It was seen that they fit.
            list.append_same(&other, count);
            None
        }
        Job::Hashed(window) => {
            list.append(window);
            None
        }
    }
}

impl BlockLister {
    /// `None` for contents that are too small or too large. A wrong `size` gives a list with unfit blocks, nothing worse.
    pub(crate) fn new(size: u64) -> Option<Self> {
        let block_size = block_size(size)?;
        let hashing = Hashing::new(block_size, size >= LARGE_BYTES);
        Some(Self {
            window: Vec::new(),
            taken: 0,
            block_size,
            alone: None,
            has_ended: false,
            is_void: false,
            hashing,
        })
    }

    /// Whether a list of a content of this size may be kept in memory.
    pub(crate) fn takes(size: u64) -> bool {
        size <= super::blocks::LARGEST_CONTENT
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        if self.has_ended {
            // What was the end of a basis is not the end of this: the hashes of what follows would be of no tree.
            self.is_void |= !bytes.is_empty();
            return;
        }
        while !bytes.is_empty() {
            let room = WINDOW_BYTES - self.window.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW_BYTES {
                self.flush();
            }
        }
    }

    /// How many of the next bytes, at most `length`, are whole blocks which `other` has at the same place; they are taken as they
    /// are there, without being looked at.
    pub(crate) fn push_same(&mut self, other: &std::sync::Arc<BlockList>, length: u64) -> u64 {
        let size = u64::from(self.block_size);
        if self.block_size != other.block_size || !self.taken.is_multiple_of(size) {
            return 0;
        }
        let first = self.taken / size;
        let to_the_end = other.count().saturating_sub(first);
        // The last may be shorter, and ends the content.
        let is_rest = other.content_size.checked_sub(self.taken) == Some(length);
        let count = if is_rest { to_the_end } else { (length / size).min(to_the_end) };
        let whole = |count: u64| (count > 0).then(|| other.block_len(first + count - 1));
        if whole(count).is_none_or(|last| last != size && !is_rest) {
            return 0;
        }
        self.flush();
        let bytes = if is_rest { length } else { count * size };
        self.hashing.give(Job::Same(other.clone(), count));
        self.taken += bytes;
        self.has_ended = !bytes.is_multiple_of(size);
        bytes
    }

    /// How many bytes may be pushed before whole blocks can come hashed, and the size of blocks.
    pub(crate) fn to_next_block(&self) -> (u64, u32) {
        let size = u64::from(self.block_size);
        (self.taken.next_multiple_of(size) - self.taken, self.block_size)
    }

    /// Takes what comes next as others hashed it, from a block's begin on: windows of whole blocks, in order.
    pub(crate) fn push_hashed(&mut self, windows: Vec<BlockList>) {
        self.flush();
        for window in windows {
            self.taken = window.content_size;
            self.hashing.give(Job::Hashed(window));
        }
    }

    /// The list, and the digest; it is `None` where a content of one block was not looked at, or where it was taken wrongly.
    pub(crate) fn finish(mut self) -> (BlockList, Option<Digest>) {
        self.flush();
        if self.is_void {
            drop(self.hashing.finish());
            return (BlockList::new(self.block_size), None);
        }
        let (list, taken, alone) = (self.hashing.finish(), self.taken, self.alone);
        let digest = match list.digest() {
            None if taken == 0 => Some(Digest::of(b"")),
            None => alone,
            digest => digest,
        };
        (list, digest)
    }

    fn flush(&mut self) {
        if self.window.is_empty() {
            return;
        }
        let is_first = self.taken == self.window.len() as u64;
        if is_first && self.taken <= self.block_size.into() {
            self.alone = Some(Digest::of(&self.window));
        }
        let window = std::mem::take(&mut self.window);
        self.window = self.hashing.give(Job::Hash(window)).unwrap_or_default();
    }
}

impl Hashing {
    fn new(block_size: u32, is_large: bool) -> Self {
        if is_large {
            let (jobs, waiting) = sync_channel(WAITING);
            let (used, spare) = sync_channel(WAITING);
            let run = move || {
                let mut list = BlockList::new(block_size);
                for job in waiting {
                    // Nobody may want it any more.
                    drop(work(&mut list, job).map(|window| used.try_send(window)));
                }
                list
            };
            // Without a thread it is done here.
            if let Ok(thread) = std::thread::Builder::new().name("sync-hash".to_owned()).spawn(run)
            {
                return Self::Beside(Beside { jobs, spare, thread });
            }
        }
        Self::Here(BlockList::new(block_size))
    }

    /// Answers a window that is free, if there is one.
    fn give(&mut self, job: Job) -> Option<Vec<u8>> {
        match self {
            Self::Here(list) => work(list, job),
            Self::Beside(Beside { jobs, spare, .. }) => {
                // A thread that panicked has its say at the end.
                drop(jobs.send(job));
                spare.try_recv().ok()
            }
        }
    }

    fn finish(self) -> BlockList {
        match self {
            Self::Here(list) => list,
            Self::Beside(Beside { jobs, thread, .. }) => {
                drop(jobs);
                match thread.join() {
                    Ok(list) => list,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::REGION_BYTES;

    fn list(content: &[u8], hint: u64) -> (BlockList, Option<Digest>) {
        let mut lister = BlockLister::new(hint).unwrap();
        for piece in content.chunks(300_007) {
            lister.push(piece);
        }
        lister.finish()
    }

    fn noise(size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn the_digest_follows_from_the_blocks_whatever_the_size() {
        let content = noise(3 << 20);
        for (size, hint) in
            [(0, 64 << 10), (700, 64 << 10), (100 << 10, 9 << 20), (3 << 20, 3 << 20)]
        {
            let content = &content[..size];
            assert_eq!(list(content, hint).1, Some(Digest::of(content)), "{size}");
        }
        let region = usize::try_from(REGION_BYTES).unwrap();
        for (zeros, rest) in [(region, 0), (region, 5), (region - 1, 70_000), (2 * region, 1 << 20)]
        {
            let mut content = vec![0; zeros];
            content.extend(noise(rest));
            let size = content.len() as u64;
            assert_eq!(list(&content, size).1, Some(Digest::of(&content)), "{zeros} {rest}");
        }
    }

    #[test]
    fn what_stayed_needs_no_second_look() {
        for size in [9 << 20, (9 << 20) + 12_345] {
            let old = noise(size);
            let mut new = old.clone();
            new[5_000_000] ^= 1;
            let (before, _) = list(&old, size as u64);
            let (before, block) = (Arc::new(before), 5_000_000 / 4_096 * 4_096);
            let mut lister = BlockLister::new(size as u64).unwrap();
            assert_eq!(lister.push_same(&before, block as u64), block as u64);
            lister.push(&new[block..block + 4_096]);
            let rest = (size - block - 4_096) as u64;
            assert_eq!(lister.push_same(&before, rest), rest);
            assert_eq!(lister.finish(), list(&new, size as u64));
        }
    }

    #[test]
    fn what_follows_an_end_is_no_content() {
        let old = noise((9 << 20) + 12_345);
        let size = old.len() as u64;
        let before = Arc::new(list(&old, size).0);
        let mut lister = BlockLister::new(size).unwrap();
        assert_eq!(lister.push_same(&before, size), size);
        lister.push(b"more");
        assert_eq!(lister.push_same(&before, 4), 0);
        assert_eq!(lister.finish().1, None);
    }
}
