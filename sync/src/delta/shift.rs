//! How far a content goes on as another does at another place, without reading more than two blocks for each guess.
//!
//! Each block has a CRC-32, and that of many blocks in a row follows from theirs, also where the row begins within a block. A guess
//! that is wrong and looks right, as one in four billions may, ends as any way that leads elsewhere: BLAKE3 of the whole tells.

use std::ops::Range;

use crc32fast::Hasher;

use super::BlockList;

/// Blocks of the first guess; the next ones are twice as long.
const FIRST_GUESS: u64 = 32;

/// Of a part of a content.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Of two parts, of which the second has so many bytes.
fn joined(first: u32, second: u32, length: u64) -> u32 {
    let mut sum = Hasher::new_with_initial(first);
    sum.combine(&Hasher::new_with_initial_len(second, length));
    sum.finalize()
}

/// Sums of whole blocks in a row.
struct Rows {
    /// Of none, of the first, of the first two, and so on.
    from_begin: Vec<u32>,
    block_size: u64,
}

impl Rows {
    fn new(list: &BlockList) -> Self {
        let block_size = u64::from(list.block_size);
        // What a bit of a sum comes to when a block follows.
        let bits: Vec<u32> = (0..u32::BITS).map(|bit| joined(1 << bit, 0, block_size)).collect();
        let then_block = |sum: u32| {
            let set = bits.iter().enumerate().filter(|(bit, _)| sum & (1 << bit) != 0);
            set.fold(0, |all, (_, bit)| all ^ bit)
        };
        let whole = usize::try_from(list.content_size / block_size).unwrap_or(usize::MAX);
        let mut sum = 0;
        let sums = list.sums().iter().take(whole).map(|block| {
            sum = then_block(sum) ^ block;
            sum
        });
        Self { from_begin: std::iter::once(0).chain(sums).collect(), block_size }
    }

    fn count(&self) -> u64 {
        self.from_begin.len() as u64 - 1
    }

    fn sum(&self, blocks: Range<u64>) -> Option<u32> {
        let to = |number: u64| self.from_begin.get(usize::try_from(number).ok()?);
        let (before, all) = (to(blocks.start)?, to(blocks.end)?);
        Some(joined(*before, *all, (blocks.end - blocks.start) * self.block_size))
    }
}

/// Two contents of which something of one is elsewhere in the other.
pub(crate) struct Shift {
    old: Rows,
    new: Rows,
}

/// A place in the new content, and one in the old at which a block begins; up to there they were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Course {
    pub at: u64,
    pub offset: u64,
}

impl Shift {
    pub(crate) fn new(old: &BlockList, new: &BlockList) -> Self {
        Self { old: Rows::new(old), new: Rows::new(new) }
    }

    /// How many bytes go on as before, up to `end` of the new content: whole blocks of the old. `sum_of` answers the sum of a range of
    /// the new content, or that it can't be read.
    pub(crate) fn length(
        &self,
        course: Course,
        end: u64,
        sum_of: impl Fn(Range<u64>) -> Option<u32>,
    ) -> u64 {
        let (Course { at, offset }, size) = (course, self.old.block_size);
        if self.new.block_size != size || !offset.is_multiple_of(size) {
            return 0;
        }
        let (block, first) = (offset / size, at.div_ceil(size));
        let in_both = (end.saturating_sub(at) / size).min(self.old.count().saturating_sub(block));
        // The rest of the block in which it begins, and the part of that in which it ends.
        let (before, behind) = (first * size - at, at % size);
        let Some(begin) = sum_of(at..at + before) else { return 0 };
        let is_same = |count: u64| -> Option<bool> {
            let last = (at + count * size) / size;
            let blocks = joined(begin, self.new.sum(first..last)?, (last - first) * size);
            let rest = sum_of(last * size..last * size + behind)?;
            Some(joined(blocks, rest, behind) == self.old.sum(block..block + count)?)
        };
        let (mut good, mut bad) = (0, in_both + 1);
        let mut guess = FIRST_GUESS.min(in_both);
        while bad - good > 1 {
            if is_same(guess) == Some(true) {
                good = guess;
            } else if good == 0 {
                break;
            } else {
                bad = guess;
            }
            guess = if bad > in_both { (2 * good).min(in_both) } else { good.midpoint(bad) };
        }
        good * size
    }
}

#[cfg(test)]
mod tests {
    use super::{super::BlockLister, *};

    fn noise(size: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn list(content: &[u8]) -> BlockList {
        let mut lister = BlockLister::new(content.len() as u64).unwrap();
        lister.push(content);
        lister.finish().0
    }

    fn length(old: &[u8], new: &[u8], at: u64, offset: u64) -> u64 {
        let sum_of = |range: Range<u64>| {
            let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
            new.get(range).map(sum)
        };
        let course = Course { at, offset };
        Shift::new(&list(old), &list(new)).length(course, new.len() as u64, sum_of)
    }

    #[test]
    fn a_content_goes_on_up_to_the_block_that_is_another() {
        let (whole, rest) = (900 << 10, 300);
        let old = noise(whole + rest, 1);
        for inserted in [0, 1, 700, 1_024, 5_000] {
            let mut new = noise(inserted, 2);
            new.extend_from_slice(&old);
            let at = inserted as u64;
            assert_eq!(length(&old, &new, at, 0), whole as u64, "{inserted}");
            assert_eq!(length(&old, &new, at + 2_048, 2_048), whole as u64 - 2_048, "{inserted}");
            for changed in [100, 40_000, 500_000, whole - 1] {
                let mut new = new.clone();
                new[inserted + changed] ^= 1;
                let same = changed as u64 / 1_024 * 1_024;
                // Nothing is made of less than the first guess.
                let expected = if same < FIRST_GUESS * 1_024 { 0 } else { same };
                assert_eq!(length(&old, &new, at, 0), expected, "{inserted} {changed}");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_not_the_same() {
        let old = noise(1 << 20, 1);
        assert_eq!(length(&old, &noise(1 << 20, 2), 0, 0), 0);
        assert_eq!(length(&old, &old, 0, 1 << 20), 0);
        assert_eq!(length(&old, &old, 1 << 20, 0), 0);
        assert_eq!(length(&old, &old, 0, 100), 0);
        // Of other blocks nothing follows.
        assert_eq!(length(&old, &old[..1 << 16], 0, 0), 1 << 16);
        assert_eq!(length(&old.repeat(5), &old, 0, 0), 0);
        let mut without_sums = list(&old).encode();
        without_sums.truncate(without_sums.len() - 1_024 * size_of::<u32>());
        let without_sums = BlockList::decode(&without_sums).unwrap();
        assert_eq!(without_sums.digest(), list(&old).digest());
        let nothing = Shift::new(&without_sums, &list(&old));
        assert_eq!(nothing.length(Course { at: 0, offset: 0 }, 1 << 20, |_| Some(0)), 0);
        let nothing = Shift::new(&list(&old), &list(&old));
        assert_eq!(nothing.length(Course { at: 5, offset: 0 }, 1 << 20, |_| None), 0);
    }
}
