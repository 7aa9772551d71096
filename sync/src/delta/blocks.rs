//! Hashes of a content's blocks.

use fast_rsync::{Signature, SignatureOptions};

/// Below this a delta is not worth its list.
const SMALLEST_CONTENT: u64 = 64 << 10;
/// Above this the list takes too much memory: an edit of such a content travels whole, less its holes.
const LARGEST_CONTENT: u64 = 64 << 30;
const SMALLEST_BLOCK: u64 = 1 << 10;
const LARGEST_BLOCK: u64 = 128 << 10;
/// Bytes of each block's BLAKE3 that are kept.
pub(super) const STRONG_BYTES: usize = 16;
/// Bytes of each block's MD4 in the rolling signature: enough to be right nearly always; BLAKE3 has the last word.
const MD4_BYTES: u32 = 8;
/// A signature's header: magic, block size, hash size, four bytes each (librsync's format).
const HEADER_BYTES: usize = 12;
/// Content that is hashed at once; a multiple of every block size.
const WINDOW_BYTES: usize = 1 << 20;

/// What is remembered of a content's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockList {
    pub block_size: u32,
    pub content_size: u64,
    /// The beginning of each block's BLAKE3.
    pub strong: Vec<[u8; STRONG_BYTES]>,
    /// librsync's signature of the whole.
    pub signature: Vec<u8>,
}

fn strong(block: &[u8]) -> [u8; STRONG_BYTES] {
    let mut head = [0; STRONG_BYTES];
    for (to, from) in head.iter_mut().zip(blake3::hash(block).as_bytes()) {
        *to = *from;
    }
    head
}

impl BlockList {
    /// Whether `bytes` are the block with this number.
    pub(super) fn is_block(&self, number: u64, bytes: &[u8]) -> bool {
        let Some(known) = usize::try_from(number).ok().and_then(|at| self.strong.get(at)) else {
            return false;
        };
        self.block_len(number) == bytes.len() as u64 && *known == strong(bytes)
    }

    /// The last block may be shorter.
    pub(super) fn block_len(&self, number: u64) -> u64 {
        let begin = number.saturating_mul(self.block_size.into());
        self.content_size.saturating_sub(begin).min(self.block_size.into())
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
        if block_size == 0 {
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

/// Makes a [`BlockList`] of a content as it passes by.
pub(crate) struct BlockLister {
    list: BlockList,
    window: Vec<u8>,
}

impl BlockLister {
    /// `None` for contents that are too small or too large. A wrong `size` gives a list with unfit blocks, nothing worse.
    pub(crate) fn new(size: u64) -> Option<Self> {
        if size < SMALLEST_CONTENT || !Self::takes(size) {
            return None;
        }
        let block = size.isqrt().next_power_of_two().clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        let list = BlockList {
            block_size: u32::try_from(block).expect("at most 128 KiB"),
            content_size: 0,
            strong: Vec::new(),
            signature: Vec::new(),
        };
        Some(Self { list, window: Vec::with_capacity(WINDOW_BYTES) })
    }

    /// Whether a list of a content of this size may be kept in memory.
    pub(crate) fn takes(size: u64) -> bool {
        size <= LARGEST_CONTENT
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
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

    pub(crate) fn finish(mut self) -> BlockList {
        self.flush();
        self.list
    }

    fn flush(&mut self) {
        let options =
            SignatureOptions { block_size: self.list.block_size, crypto_hash_size: MD4_BYTES };
        let signature = Signature::calculate(&self.window, options).into_serialized();
        let skip = if self.list.signature.is_empty() { 0 } else { HEADER_BYTES };
        self.list.signature.extend(signature.iter().skip(skip));
        let size = usize::try_from(self.list.block_size).expect("at most 128 KiB");
        self.list.strong.extend(self.window.chunks(size).map(strong));
        self.list.content_size += self.window.len() as u64;
        self.window.clear();
    }
}
