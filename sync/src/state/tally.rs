//! One digest for all that is agreed, which a change of one entry changes without looking at the others: the sum, modulo 2²⁵⁶, of
//! a keyed BLAKE3 of each entry (MSet-Add-Hash: Clarke, Devadas, van Dijk, Gassend, Suh, *Incremental Multiset Hash Functions and
//! Their Application to Memory Integrity Checking*, 2003). The key is the random name of the studio's root.

use serde::{Deserialize, Serialize};

use crate::{RelPath, entry::Entry};

/// Of an agreed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    words: [u64; 4],
    pub entries: u64,
    /// Entries that are no folders.
    pub files: u64,
}

/// Hashes entries of one pair of roots.
pub(super) struct Tallier {
    hasher: blake3::Hasher,
}

impl Tallier {
    pub(super) fn new(studio_root: [u8; 16]) -> Self {
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(studio_root) {
            *to = from;
        }
        Self { hasher: blake3::Hasher::new_keyed(&key) }
    }

    fn words(&mut self, path: &RelPath, entry: &Entry) -> [u64; 4] {
        self.hasher.reset();
        self.hasher.update(&(path.as_bytes().len() as u64).to_le_bytes());
        self.hasher.update(path.as_bytes());
        entry.feed(&mut self.hasher);
        let hash = self.hasher.finalize();
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        let mut all = [0; 4];
        for (to, from) in all.iter_mut().zip(words) {
            *to = u64::from_le_bytes(*from);
        }
        all
    }

    pub(super) fn add(&mut self, tally: &mut Tally, path: &RelPath, entry: &Entry) {
        let mut carry = false;
        for (word, more) in tally.words.iter_mut().zip(self.words(path, entry)) {
            let (sum, first) = word.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(carry.into());
            (*word, carry) = (sum, first || second);
        }
        tally.entries += 1;
        tally.files += u64::from(!entry.is_folder());
    }

    pub(super) fn remove(&mut self, tally: &mut Tally, path: &RelPath, entry: &Entry) {
        let mut borrow = false;
        for (word, less) in tally.words.iter_mut().zip(self.words(path, entry)) {
            let (rest, first) = word.overflowing_sub(less);
            let (rest, second) = rest.overflowing_sub(borrow.into());
            (*word, borrow) = (rest, first || second);
        }
        tally.entries = tally.entries.saturating_sub(1);
        tally.files = tally.files.saturating_sub(u64::from(!entry.is_folder()));
    }
}

impl Tally {
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, from) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.words) {
            *to = from.to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn any_order_gives_the_same_and_what_goes_leaves_nothing() {
        let entries: Vec<(RelPath, Entry)> = (0..50_u8)
            .map(|number| {
                let path = RelPath::try_from(format!("{number}").as_str()).unwrap();
                let entry =
                    Entry::File { size: 1, digest: Digest::of(&[number]), executable: false };
                (path, entry)
            })
            .collect();
        let mut tallier = Tallier::new([7; 16]);
        let (mut forth, mut back) = (Tally::default(), Tally::default());
        for (path, entry) in &entries {
            tallier.add(&mut forth, path, entry);
        }
        for (path, entry) in entries.iter().rev() {
            tallier.add(&mut back, path, entry);
        }
        assert_eq!((forth, forth.files), (back, 50));
        assert_ne!(forth.digest(), Tally::default().digest());
        for (path, entry) in &entries {
            tallier.remove(&mut forth, path, entry);
        }
        assert_eq!(forth, Tally::default());
    }
}
