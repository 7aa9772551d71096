//! What is remembered of a content's blocks.

use blake3::hazmat::ChainingValue;
use fast_rsync::{Signature, SignatureOptions};

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
/// Bytes of each block's MD4 in the rolling signature: enough to be right nearly always; BLAKE3 has the last word.
const MD4_BYTES: u32 = 8;
/// A signature's header: magic, block size, hash size, four bytes each (librsync's format).
const HEADER_BYTES: usize = 12;
/// A block in a signature: a rolling hash of four bytes, and MD4.
const SIGNATURE_BYTES: usize = 12;
const STRONG_BYTES: usize = 32;
/// Content that is hashed at once; a multiple of every block size.
pub(crate) const WINDOW_BYTES: usize = 1 << 20;

/// Hashes of a content's blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BlockList {
    pub block_size: u32,
    pub content_size: u64,
    /// Each block's subtree of BLAKE3's tree, so that the digest of the whole follows from them.
    strong: Vec<ChainingValue>,
    /// librsync's signature of the whole.
    pub signature: Vec<u8>,
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
        let options = SignatureOptions { block_size: self.block_size, crypto_hash_size: MD4_BYTES };
        let signature = Signature::calculate(bytes, options).into_serialized();
        let skip = if self.signature.is_empty() { 0 } else { HEADER_BYTES };
        self.signature.extend(signature.iter().skip(skip));
        let mut at = self.content_size;
        for block in bytes.chunks(size) {
            self.strong.push(tree::part(block, at));
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
        let skip = if self.signature.is_empty() { 0 } else { HEADER_BYTES };
        self.signature.extend(window.signature.iter().skip(skip));
        self.strong.extend(window.strong);
        self.content_size = window.content_size;
    }

    /// So many blocks that are at the same place in another content. Whether they are.
    pub(crate) fn append_same(&mut self, other: &Self, count: u64) -> bool {
        let first = self.count();
        let end = first.saturating_add(count);
        let range = |width: usize, header: usize| {
            let at =
                |block: u64| usize::try_from(block).ok()?.checked_mul(width)?.checked_add(header);
            Some(at(first)?..at(end)?)
        };
        let strong = range(1, 0).and_then(|range| other.strong.get(range));
        let signature =
            range(SIGNATURE_BYTES, HEADER_BYTES).and_then(|range| other.signature.get(range));
        let (Some(strong), Some(signature)) = (strong, signature) else { return false };
        if self.signature.is_empty() {
            self.signature.extend(other.signature.iter().take(HEADER_BYTES));
        }
        self.signature.extend_from_slice(signature);
        self.strong.extend_from_slice(strong);
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
        let mut bytes =
            Vec::with_capacity(16 + self.strong.len() * STRONG_BYTES + self.signature.len());
        bytes.extend_from_slice(&self.block_size.to_le_bytes());
        bytes.extend_from_slice(&self.content_size.to_le_bytes());
        bytes.extend(self.strong.iter().flatten());
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (block_size, rest) = bytes.split_first_chunk::<4>()?;
        let (content_size, rest) = rest.split_first_chunk::<8>()?;
        let block_size = u32::from_le_bytes(*block_size);
        let content_size = u64::from_le_bytes(*content_size);
        let sizes = u32::try_from(SMALLEST_BLOCK).ok()?..=u32::try_from(LARGEST_BLOCK).ok()?;
        if !block_size.is_power_of_two() || !sizes.contains(&block_size) {
            return None;
        }
        let count = usize::try_from(content_size.div_ceil(block_size.into())).ok()?;
        let (strong, signature) = rest.split_at_checked(count.checked_mul(STRONG_BYTES)?)?;
        let (strong, _) = strong.as_chunks::<STRONG_BYTES>();
        Some(Self {
            block_size,
            content_size,
            strong: strong.to_vec(),
            signature: signature.to_vec(),
        })
    }
}
