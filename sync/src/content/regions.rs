//! The regions of a content, put together to its digest.

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt},
};

use super::tree;
use crate::entry::Digest;

const CONTEXT: &str = "atelier 2026-11-21 subtrees of a content with empty regions";

/// Takes regions in order.
#[derive(Default)]
pub(crate) struct Regions {
    /// Of those that are not empty.
    written: Vec<ChainingValue>,
    /// Of a content that has no more than one.
    alone: Option<Digest>,
    /// First region and number of regions of each run of empty ones.
    runs: Vec<(u64, u64)>,
    count: u64,
}

impl Regions {
    /// A region with something in it, by a hasher that began at its offset.
    pub(crate) fn written(&mut self, hasher: &Hasher) {
        if self.count == 0 {
            self.alone = Some(Digest(*hasher.finalize().as_bytes()));
        }
        self.subtree(hasher.finalize_non_root());
    }

    /// The same, not the only one.
    pub(crate) fn subtree(&mut self, region: ChainingValue) {
        self.written.push(region);
        self.count += 1;
    }

    /// So many regions of zeros.
    pub(crate) fn empty(&mut self, count: u64) {
        match self.runs.last_mut() {
            Some((first, so_far)) if *first + *so_far == self.count => *so_far += count,
            _ => self.runs.push((self.count, count)),
        }
        self.count += count;
    }

    /// `length` of the whole content. Only where there were regions.
    pub(crate) fn finish(self, length: u64) -> Digest {
        if self.runs.is_empty() {
            if let Some(root) = tree::root(&self.written) {
                return Digest(*root.as_bytes());
            }
            if let Some(alone) = self.alone {
                return alone;
            }
        }
        let mut whole = Hasher::new_derive_key(CONTEXT);
        for region in &self.written {
            whole.update(region);
        }
        for (first, count) in &self.runs {
            whole.update(&first.to_le_bytes());
            whole.update(&count.to_le_bytes());
        }
        whole.update(&(self.written.len() as u64).to_le_bytes());
        whole.update(&length.to_le_bytes());
        Digest(*whole.finalize().as_bytes())
    }
}
