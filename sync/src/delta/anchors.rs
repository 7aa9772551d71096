//! Finding blocks wherever they are: by a rolling hash of their first bytes, their *anchor*.
//!
//! Hashing so little of each block costs next to nothing as a file is looked at; a block is taken for found only when BLAKE3 of all
//! of it says so.

use super::rolling::Rolling;

/// Bytes of a block that its anchor is made of; no block but the last is shorter.
pub(super) const ANCHOR_BYTES: usize = 256;
/// Bits of the filter for each anchor in it.
const FILTER_BITS: usize = 16;
/// Blocks with one anchor that are looked at.
const MOST_ALIKE: usize = 4;

/// Of what begins with one byte again and again, as stretches of zeros do: it would be found at every place of such a stretch. Such
/// a block is found behind the one before it.
const NONE: u64 = 0;

/// Of a block; of one that is too short it is of no use.
pub(super) fn anchor(block: &[u8]) -> u64 {
    let begin = block.get(..ANCHOR_BYTES).unwrap_or(block);
    let is_plain = begin.iter().all(|byte| Some(byte) == begin.first());
    if is_plain { NONE } else { Rolling::new(begin).hash() }
}

/// Blocks by their anchors.
pub(super) struct Index {
    sorted: Vec<(u64, u64)>,
    /// Most windows do not pass.
    filter: Vec<u64>,
}

impl Index {
    /// Of anchors, in the order of blocks.
    pub(super) fn new(anchors: &[u64]) -> Self {
        let mut sorted: Vec<(u64, u64)> = anchors.iter().copied().zip(0..).collect();
        sorted.retain(|(anchor, _)| *anchor != NONE);
        sorted.sort_unstable();
        let words = (anchors.len() * FILTER_BITS).div_ceil(64).next_power_of_two();
        let mut filter = vec![0; words];
        for (anchor, _) in &sorted {
            let (word, bit) = place(*anchor, words);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self { sorted, filter }
    }

    pub(super) fn has(&self, anchor: u64) -> bool {
        let (word, bit) = place(anchor, self.filter.len());
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Numbers of some blocks with this anchor.
    pub(super) fn find(&self, anchor: u64) -> impl Iterator<Item = u64> + '_ {
        let first = self.sorted.partition_point(|(known, _)| *known < anchor);
        let alike = self.sorted.iter().skip(first).take_while(move |(known, _)| *known == anchor);
        alike.map(|(_, number)| *number).take(MOST_ALIKE)
    }
}

fn place(anchor: u64, words: usize) -> (usize, u64) {
    let word = usize::try_from(anchor >> 6).unwrap_or_default() & (words - 1);
    (word, 1 << (anchor % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_their_beginning_and_plain_ones_are_not() {
        let blocks: Vec<Vec<u8>> = (0..9_u8)
            .map(|number| (0..300_u16).map(|at| number / 2 * (at % 7) as u8).collect())
            .collect();
        let anchors: Vec<u64> = blocks.iter().map(|block| anchor(block)).collect();
        let index = Index::new(&anchors);
        let found = |number: usize| index.find(anchors[number]).collect::<Vec<_>>();
        assert_eq!((found(2), found(3), found(8)), (vec![2, 3], vec![2, 3], vec![8]));
        assert!(index.has(anchors[8]) && found(0).is_empty() && found(1).is_empty());
        assert!((1..10_000_u16).filter(|at| index.has(anchor(&at.to_le_bytes()))).count() < 2_000);
        assert!(!Index::new(&[]).has(1));
    }
}
