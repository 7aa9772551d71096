//! Making a delta, piece by piece.

use super::{
    BlockList,
    anchors::{ANCHOR_BYTES, Index},
    rolling::Rolling,
    shift::Course,
};

/// Bytes that are looked through at once for blocks that moved.
const GAP_BYTES: usize = 64 << 10;
/// Bytes that may be looked through in vain before looking is given up for this content: that costs several times as much as
/// reading.
const BUDGET_BYTES: u64 = 128 << 20;
/// A block that only began like the one that was looked for costs as much as so many parts of its length.
const VAIN_PART: u64 = 4;
/// A copy of so much is told at once, so that the receiver carries it out while more is looked for.
pub(crate) const COPIED_AT_ONCE: u64 = 32 << 20;
/// Blocks in a row that moved together, before it is worth a guess that more do.
const WORTH_A_GUESS: u64 = 4;

/// Part of the way to the new content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Instruction<'a> {
    Copy { offset: u64, length: u64 },
    Data(&'a [u8]),
}

/// Takes the new content in pieces and gives instructions in order.
pub(crate) struct DeltaMaker<'a> {
    blocks: &'a BlockList,
    /// Made when it is needed. Costs memory in proportion to the number of blocks.
    index: Option<Index>,
    /// Not decided on yet.
    buffer: Vec<u8>,
    /// Where the buffer begins in the new content.
    at: u64,
    /// The block that is expected next.
    next: u64,
    budget: u64,
    /// A copy that may grow.
    pending: Option<(u64, u64)>,
}

type Sink<'s, E> = dyn FnMut(Instruction<'_>) -> Result<(), E> + 's;

/// A block that was found.
struct Found {
    number: u64,
    length: usize,
}

impl<'a> DeltaMaker<'a> {
    pub(crate) const fn new(blocks: &'a BlockList) -> Self {
        Self {
            blocks,
            index: None,
            buffer: Vec::new(),
            at: 0,
            next: 0,
            budget: BUDGET_BYTES,
            pending: None,
        }
    }

    pub(crate) fn push<E>(&mut self, bytes: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.buffer.extend_from_slice(bytes);
        self.decide(false, sink)
    }

    /// The next blocks are at the same place in both.
    pub(crate) fn same<E>(&mut self, length: u64, sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.decide(true, sink)?;
        self.copy(self.at, length, sink)?;
        self.at += length;
        self.next = self.at.div_ceil(self.blocks.block_size.into());
        Ok(())
    }

    /// Where blocks that moved may go on.
    pub(crate) fn course(&self) -> Option<Course> {
        let (begin, length) = self.pending?;
        let offset = self.offset(self.next);
        let goes_on = begin + length == offset && offset != self.at;
        let is_worth_it = length >= WORTH_A_GUESS * u64::from(self.blocks.block_size);
        (goes_on && is_worth_it).then_some(Course { at: self.at, offset })
    }

    /// So many bytes are whole blocks that go on as [`Self::course`] says; all that came beyond that course is among them.
    pub(crate) fn go_on<E>(&mut self, length: u64, sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.buffer.clear();
        let end = self.at + length;
        while self.at < end {
            let now = (end - self.at).min(COPIED_AT_ONCE);
            self.copy(self.offset(self.next), now, sink)?;
            self.at += now;
            self.next += now / u64::from(self.blocks.block_size);
        }
        Ok(())
    }

    pub(crate) fn finish<E>(mut self, sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.decide(true, sink)?;
        self.flush_copy(sink)
    }

    fn decide<E>(&mut self, end: bool, sink: &mut Sink<'_, E>) -> Result<(), E> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        let gap = self.gap();
        // Enough for a block and for a gap; so less is never decided on too early.
        while !rest.is_empty() && (end || rest.len() >= gap) {
            rest = match self.known(rest) {
                Some((number, block, after)) => {
                    self.copy(self.offset(number), block.len() as u64, sink)?;
                    self.next = number + 1;
                    self.at += block.len() as u64;
                    after
                }
                None => self.search(rest, end, sink)?,
            };
        }
        let left = rest.len();
        buffer.drain(..buffer.len() - left);
        self.buffer = buffer;
        Ok(())
    }

    fn gap(&self) -> usize {
        GAP_BYTES.max(4 * self.block_size())
    }

    fn block_size(&self) -> usize {
        usize::try_from(self.blocks.block_size).expect("at most 128 KiB, or our own database lies")
    }

    fn offset(&self, number: u64) -> u64 {
        number * u64::from(self.blocks.block_size)
    }

    /// The block at the beginning of `rest`, where it is cheap to know: the expected one, or the one at the same offset.
    fn known<'b>(&self, rest: &'b [u8]) -> Option<(u64, &'b [u8], &'b [u8])> {
        let size = u64::from(self.blocks.block_size);
        let same = self.at.is_multiple_of(size).then(|| self.at / size);
        [Some(self.next), same.filter(|same| *same != self.next)].into_iter().flatten().find_map(
            |number| {
                let length = usize::try_from(self.blocks.block_len(number)).ok()?;
                let (block, after) = rest.split_at_checked(length)?;
                // A short last block is one only at the end.
                let fits = length == self.block_size() || after.is_empty();
                (length > 0 && fits && self.blocks.is_block(number, block))
                    .then_some((number, block, after))
            },
        )
    }

    /// Looks for a block that moved in the next gap; answers what is left to decide on.
    fn search<'b, E>(
        &mut self,
        rest: &'b [u8],
        end: bool,
        sink: &mut Sink<'_, E>,
    ) -> Result<&'b [u8], E> {
        let reach = self.reach(rest);
        let (passed, found) = self.find(rest, reach, end);
        let (data, after) = rest.split_at(passed);
        self.data(data, sink)?;
        self.at += passed as u64;
        let Some(Found { number, length }) = found else {
            self.budget = self.budget.saturating_sub(passed as u64);
            return Ok(after);
        };
        self.copy(self.offset(number), length as u64, sink)?;
        self.next = number + 1;
        self.at += length as u64;
        Ok(after.split_at(length).1)
    }

    /// The first block that begins before `reach`, and what is before it. Without one: how much certainly is in none.
    fn find(&mut self, rest: &[u8], reach: usize, end: bool) -> (usize, Option<Found>) {
        if self.budget == 0 {
            return (reach, None);
        }
        let blocks = self.blocks;
        let index = self.index.get_or_insert_with(|| Index::new(&blocks.anchors));
        let size = usize::try_from(blocks.block_size).expect("at most 128 KiB");
        // Of what begins later, the end is not here yet.
        let ready = if end { reach } else { reach.min(rest.len().saturating_sub(size) + 1) };
        let Some(window) = rest.get(..ANCHOR_BYTES) else { return (ready, None) };
        let mut rolling = Rolling::new(window);
        let coming = rest.get(ANCHOR_BYTES..).unwrap_or_default();
        for (at, out) in rest.iter().enumerate().take(ready) {
            let anchor = rolling.hash();
            if index.has(anchor) {
                let expected = blocks.anchor(self.next) == Some(anchor);
                let expected = expected.then_some(self.next);
                for number in expected.into_iter().chain(index.find(anchor)) {
                    let Ok(length) = usize::try_from(blocks.block_len(number)) else { continue };
                    // A short last block is one only at the end.
                    let fits = length == size || (end && at + length == rest.len());
                    let Some(bytes) = rest.get(at..at + length).filter(|_| fits) else { continue };
                    if length >= ANCHOR_BYTES && blocks.is_block(number, bytes) {
                        return (at, Some(Found { number, length }));
                    }
                    self.budget = self.budget.saturating_sub(length as u64 / VAIN_PART);
                }
                if self.budget == 0 {
                    return (reach, None);
                }
            }
            let Some(next) = coming.get(at) else { break };
            rolling.roll(*out, *next);
        }
        (ready, None)
    }

    /// How far to look: at most to the block after this that is known to be at its old place.
    fn reach(&self, rest: &[u8]) -> usize {
        let size = self.block_size();
        let most = self.gap().min(rest.len());
        let into = usize::try_from(self.at % size as u64).expect("less than a block");
        let mut reach = size - into;
        while reach + size <= most {
            let number = (self.at + reach as u64) / size as u64;
            if rest
                .get(reach..reach + size)
                .is_some_and(|block| self.blocks.is_block(number, block))
            {
                return reach;
            }
            reach += size;
        }
        most
    }

    fn copy<E>(&mut self, offset: u64, length: u64, sink: &mut Sink<'_, E>) -> Result<(), E> {
        match &mut self.pending {
            Some((begin, so_far)) if *begin + *so_far == offset => *so_far += length,
            _ => {
                self.flush_copy(sink)?;
                self.pending = Some((offset, length));
            }
        }
        match self.pending {
            Some((_, length)) if length >= COPIED_AT_ONCE => self.flush_copy(sink),
            _ => Ok(()),
        }
    }

    fn data<E>(&mut self, data: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        if data.is_empty() {
            return Ok(());
        }
        self.flush_copy(sink)?;
        sink(Instruction::Data(data))
    }

    fn flush_copy<E>(&mut self, sink: &mut Sink<'_, E>) -> Result<(), E> {
        match self.pending.take() {
            Some((offset, length)) => sink(Instruction::Copy { offset, length }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::BlockLister, *};

    fn list(content: &[u8]) -> BlockList {
        let mut lister = BlockLister::new((content.len() as u64).max(64 << 10)).unwrap();
        lister.push(content);
        lister.finish().0
    }

    /// The new content again, and how many bytes of it travelled.
    fn through(old: &[u8], new: &[u8], step: usize) -> (Vec<u8>, usize) {
        let basis = list(old);
        let mut maker = DeltaMaker::new(&basis);
        let (mut again, mut literal) = (Vec::new(), 0);
        let mut sink = |instruction: Instruction<'_>| -> Result<(), std::convert::Infallible> {
            match instruction {
                Instruction::Copy { offset, length } => {
                    let from = usize::try_from(offset).unwrap();
                    again.extend_from_slice(&old[from..from + usize::try_from(length).unwrap()]);
                }
                Instruction::Data(data) => {
                    literal += data.len();
                    again.extend_from_slice(data);
                }
            }
            Ok(())
        };
        for piece in new.chunks(step) {
            maker.push(piece, &mut sink).unwrap();
        }
        maker.finish(&mut sink).unwrap();
        (again, literal)
    }

    fn noise(size: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_changed_byte_costs_a_block_and_an_insertion_little_more() {
        let old = noise(4 << 20, 1);
        let mut changed = old.clone();
        changed[1_234_567] ^= 1;
        let (again, literal) = through(&old, &changed, 256 << 10);
        assert!(again == changed && literal <= 4 << 10, "{literal}");
        let mut inserted = noise(1_000, 2);
        inserted.extend_from_slice(&old);
        let (again, literal) = through(&old, &inserted, 256 << 10);
        assert!(again == inserted && literal <= 8 << 10, "{literal}");
        let (again, literal) = through(&old, &old, 100_000);
        assert!(again == old && literal == 0, "{literal}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_edit_comes_through(
            seed in 0u64..8,
            size in 0usize..300_000,
            period in prop_oneof![Just(0usize), Just(1), Just(7), Just(1_000)],
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..5_000, 0usize..5_000), 0..6),
            step in 1_000usize..300_000,
        ) {
            let mut old = noise(size, seed);
            for at in period..if period == 0 { 0 } else { size } {
                old[at] = old[at - period];
            }
            let mut new = old.clone();
            for (at, remove, insert) in edits {
                let at = at.index(new.len() + 1);
                let end = (at + remove).min(new.len());
                new.splice(at..end, noise(insert, at as u64));
            }
            let (again, _) = through(&old, &new, step);
            prop_assert!(again == new);
        }
    }
}
