//! BLAKE3 of a whole from the hashes of its parts: parts that begin at multiples of their size, which is a power of two of at
//! least a chunk, are subtrees of BLAKE3's tree, so they can be hashed apart, in any order, and remembered.

use blake3::{
    Hash,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

/// Of a part; `offset` is where it begins in the whole. Never of an empty one.
pub(crate) fn part(bytes: &[u8], offset: u64) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// Of neighbours, all of the same size but the last of the whole.
pub(crate) fn subtree(parts: &[ChainingValue]) -> ChainingValue {
    match parts {
        [] => unreachable!("empty subtrees do not exist"),
        [part] => *part,
        parts => {
            let (left, right) = halves(parts);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Of the whole, that has at least two parts: what a single part has is no root.
pub(crate) fn root(parts: &[ChainingValue]) -> Option<Hash> {
    if parts.len() < 2 {
        return None;
    }
    let (left, right) = halves(parts);
    Some(merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash))
}

/// The left one is as large as a power of two of parts can be, and leaves something.
fn halves(parts: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    parts.split_at(parts.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_known_from_its_parts() {
        let content: Vec<u8> = (0..70_001u32).map(|at| (at % 251) as u8).collect();
        for size in [1 << 10, 2 << 10, 16 << 10] {
            for length in [size + 1, 2 * size, 3 * size, 3 * size + 7, 4 * size, 70_001] {
                let whole = &content[..length.min(content.len())];
                let parts = whole.chunks(size).enumerate();
                let parts: Vec<_> =
                    parts.map(|(at, bytes)| part(bytes, (at * size) as u64)).collect();
                assert_eq!(root(&parts), Some(blake3::hash(whole)), "{size} {length}");
            }
        }
        assert_eq!(root(&[part(&content[..1024], 0)]), None);
    }
}
