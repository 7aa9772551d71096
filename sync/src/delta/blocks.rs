//! What is remembered of a content's blocks.

use blake3::hazmat::ChainingValue;

use super::{anchors::anchor, shift::sum};
use crate::{
    content::{REGION_BYTES, Regions, tree},
    entry::Digest,
};

/// Below this a delta is not worth its list.
const SMALLEST_CONTENT: u64 = 64 << 10;
/// Above this the list takes too much memory: an edit of such a content travels whole, less its holes.
pub(super) const LARGEST_CONTENT: u64 = 64 << 30;
const SMALLEST_BLOCK: u64 = 1 << 10;
const LARGEST_BLOCK: u64 = 128 << 10;
const STRONG_BYTES: usize = 32;
const ANCHOR_WIDTH: usize = 8;
const SUM_WIDTH: usize = 4;
/// Content that is hashed at once; a multiple of every block size.
pub(super) const WINDOW_BYTES: usize = 1 << 20;

/// Hashes of a content's blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BlockList {
    pub block_size: u32,
    pub content_size: u64,
    /// Each block's subtree of BLAKE3's tree, so that the digest of the whole follows from them.
    strong: Vec<ChainingValue>,
    /// Of each block, to find it elsewhere.
    pub anchors: Vec<u64>,
    /// Of each block, to see how far what was found elsewhere goes on. Fewer where a part came from a list that has none.
    sums: Vec<u32>,
}

/// The size of a content's blocks; `None` for contents that are too small or too large for a list.
pub(crate) fn block_size(content_size: u64) -> Option<u32> {
    if !(SMALLEST_CONTENT..=LARGEST_CONTENT).contains(&content_size) {
        return None;
    }
    let block = content_size.isqrt().next_power_of_two().clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
    u32::try_from(block).ok()
}

impl BlockList {
    pub(crate) fn new(block_size: u32) -> Self {
        Self { block_size, ..Self::default() }
    }

    /// Hashes what comes next: whole blocks, unless it is the end.
    pub(crate) fn hash(&mut self, bytes: &[u8]) {
        let size = usize::try_from(self.block_size).expect("at most 128 KiB");
        let mut at = self.content_size;
        for block in bytes.chunks(size) {
            self.strong.push(tree::part(block, at));
            self.anchors.push(anchor(block));
            self.sums.push(sum(block));
            at += block.len() as u64;
        }
        self.content_size = at;
    }

    /// A list of what begins at `offset` of a content, a multiple of the block size; to be appended to that of what is before it.
    pub(crate) fn of_window(block_size: u32, bytes: &[u8], offset: u64) -> Self {
        let mut list = Self { content_size: offset, ..Self::new(block_size) };
        list.hash(bytes);
        list
    }

    pub(crate) fn append(&mut self, window: Self) {
        self.anchors.extend(window.anchors);
        self.strong.extend(window.strong);
        self.sums.extend(window.sums);
        self.content_size = window.content_size;
    }

    /// So many blocks that are at the same place in another content. Whether they are.
    pub(crate) fn append_same(&mut self, other: &Self, count: u64) -> bool {
        let first = self.count();
        let end = first.saturating_add(count);
        let range = || Some(usize::try_from(first).ok()?..usize::try_from(end).ok()?);
        let Some(range) = range() else { return false };
        let Some(strong) = other.strong.get(range.clone()) else { return false };
        // There are as many of those.
        self.strong.extend_from_slice(strong);
        self.anchors.extend_from_slice(other.anchors.get(range.clone()).unwrap_or_default());
        self.sums.extend_from_slice(other.sums.get(range).unwrap_or_default());
        self.content_size += (first..end).map(|block| other.block_len(block)).sum::<u64>();
        true
    }

    pub(crate) fn count(&self) -> u64 {
        self.strong.len() as u64
    }

    /// How many blocks from that number on are the same in both, `Err`: how many are not.
    pub(crate) fn same_from(&self, other: &Self, number: u64) -> Result<u64, u64> {
        let mut blocks = (number..self.count()).map(|at| self.same(other, at)).peekable();
        let Some(&is_same) = blocks.peek() else { return Ok(0) };
        let count = blocks.take_while(|now| *now == is_same).count() as u64;
        if is_same { Ok(count) } else { Err(count) }
    }

    fn same(&self, other: &Self, number: u64) -> bool {
        let at = usize::try_from(number).ok();
        self.block_size == other.block_size
            && self.block_len(number) == other.block_len(number)
            && at.is_some_and(|at| self.strong.get(at) == other.strong.get(at))
    }

    /// Of all blocks, or none.
    pub(super) fn sums(&self) -> &[u32] {
        if self.sums.len() == self.strong.len() { &self.sums } else { &[] }
    }

    pub(super) fn anchor(&self, number: u64) -> Option<u64> {
        self.anchors.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether `bytes` are the block with this number.
    pub(super) fn is_block(&self, number: u64, bytes: &[u8]) -> bool {
        let Some(known) = usize::try_from(number).ok().and_then(|at| self.strong.get(at)) else {
            return false;
        };
        let offset = number * u64::from(self.block_size);
        self.block_len(number) == bytes.len() as u64 && *known == tree::part(bytes, offset)
    }

    /// The last block may be shorter.
    pub(crate) fn block_len(&self, number: u64) -> u64 {
        let begin = number.saturating_mul(self.block_size.into());
        self.content_size.saturating_sub(begin).min(self.block_size.into())
    }

    /// Of the whole content; `None` for a single block, which has no more than itself.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let in_region = usize::try_from(REGION_BYTES / u64::from(self.block_size)).ok()?;
        if self.strong.len() < 2 {
            return None;
        }
        let mut regions = Regions::default();
        let mut is_any_empty = false;
        for (number, blocks) in self.strong.chunks(in_region).enumerate() {
            let offset = number as u64 * REGION_BYTES;
            let is_whole = self.content_size - offset >= REGION_BYTES;
            if is_whole && self.is_empty(blocks, offset) {
                regions.empty(1);
                is_any_empty = true;
            } else {
                regions.subtree(tree::subtree(blocks));
            }
        }
        if is_any_empty {
            return Some(regions.finish(self.content_size));
        }
        tree::root(&self.strong).map(|root| Digest(*root.as_bytes()))
    }

    fn is_empty(&self, blocks: &[ChainingValue], offset: u64) -> bool {
        let zeros = vec![0; usize::try_from(self.block_size).expect("at most 128 KiB")];
        let offsets = (0..).map(|number| offset + number * u64::from(self.block_size));
        // All but always the first block decides.
        blocks.iter().zip(offsets).all(|(block, offset)| *block == tree::part(&zeros, offset))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let of_block = STRONG_BYTES + ANCHOR_WIDTH + SUM_WIDTH;
        let mut bytes = Vec::with_capacity(16 + self.strong.len() * of_block);
        bytes.extend_from_slice(&self.block_size.to_le_bytes());
        bytes.extend_from_slice(&self.content_size.to_le_bytes());
        bytes.extend(self.strong.iter().flatten());
        bytes.extend(self.anchors.iter().flat_map(|anchor| anchor.to_le_bytes()));
        bytes.extend(self.sums().iter().flat_map(|sum| sum.to_le_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (block_size, rest) = bytes.split_first_chunk::<4>()?;
        let (content_size, rest) = rest.split_first_chunk::<8>()?;
        let block_size = u32::from_le_bytes(*block_size);
        let content_size = u64::from_le_bytes(*content_size);
        let sizes = u32::try_from(SMALLEST_BLOCK).ok()?..=u32::try_from(LARGEST_BLOCK).ok()?;
        let is_sound = block_size.is_power_of_two()
            && sizes.contains(&block_size)
            && content_size <= LARGEST_CONTENT;
        if !is_sound {
            return None;
        }
        let count = usize::try_from(content_size.div_ceil(block_size.into())).ok()?;
        let (strong, rest) = rest.split_at_checked(count.checked_mul(STRONG_BYTES)?)?;
        let (anchors, sums) = rest.split_at_checked(count.checked_mul(ANCHOR_WIDTH)?)?;
        let (strong, _) = strong.as_chunks::<STRONG_BYTES>();
        let (anchors, _) = anchors.as_chunks::<ANCHOR_WIDTH>();
        let (sums, too_much) = sums.as_chunks::<SUM_WIDTH>();
        // Lists of earlier versions have no sums.
        let is_whole = anchors.len() == count
            && (sums.is_empty() || sums.len() == count)
            && too_much.is_empty();
        is_whole.then(|| Self {
            block_size,
            content_size,
            strong: strong.to_vec(),
            anchors: anchors.iter().map(|anchor| u64::from_le_bytes(*anchor)).collect(),
            sums: sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect(),
        })
    }
}
