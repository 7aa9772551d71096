//! A hash of a window of bytes that can be moved on by a byte: a polynomial in a fixed odd number, modulo 2⁶⁴.
//!
//! Quick, and no more than that: whoever wants to can make two windows with one hash. What it finds is proven by BLAKE3.

/// Odd, with bits everywhere.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Clone, Copy)]
pub(super) struct Rolling {
    hash: u64,
    /// Of the byte that leaves.
    leaving: u64,
}

impl Rolling {
    pub(super) fn new(window: &[u8]) -> Self {
        let mut rolling = Self { hash: 0, leaving: 1 };
        for byte in window {
            rolling.hash = rolling.hash.wrapping_mul(FACTOR).wrapping_add(u64::from(*byte) + 1);
            rolling.leaving = rolling.leaving.wrapping_mul(FACTOR);
        }
        rolling
    }

    pub(super) fn roll(&mut self, out: u8, next: u8) {
        let moved = self.hash.wrapping_mul(FACTOR).wrapping_add(u64::from(next) + 1);
        self.hash = moved.wrapping_sub((u64::from(out) + 1).wrapping_mul(self.leaving));
    }

    /// The lower bits of a polynomial depend on little: here each depends on everything.
    pub(super) fn hash(self) -> u64 {
        let mixed = (self.hash ^ (self.hash >> 29)).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 32)
    }

    pub(super) fn short(self) -> u32 {
        u32::try_from(self.hash() >> 32).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_was_moved_there_hashes_as_one_that_began_there() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|at| (at * at % 251) as u8).collect();
        let mut rolling = Rolling::new(&bytes[..256]);
        for at in 0..bytes.len() - 256 {
            assert_eq!(rolling.hash(), Rolling::new(&bytes[at..at + 256]).hash());
            rolling.roll(bytes[at], bytes[at + 256]);
        }
    }
}
