//! Differences between two versions of a content, made without the other side: from the new content and the block list of the
//! old one, which both sides remember.
//!
//! Of small contents nothing is remembered: their differences are made from a sketch that the other side sends (`sketch.rs`).
//!
//! Three ways to find a block again, the cheapest first: at the same offset; right behind the block that was found last; and,
//! only in gaps between those, anywhere, by a rolling hash of its first bytes, which is work that is bounded. Where the blocks of both
//! contents are known, sums of them tell how far what was found goes on, and it is not read (`shift.rs`). The way may
//! lead elsewhere, where the receiver's basis is not what it was: it checks BLAKE3 of the whole and else takes the whole content.

mod anchors;
mod blocks;
#[cfg(test)]
mod fuzz;
mod lister;
mod maker;
mod rolling;
mod shift;
mod sketch;
mod windows;

pub(crate) use blocks::{BlockList, block_size};
pub(crate) use lister::BlockLister;
pub(crate) use maker::{COPIED_AT_ONCE, DeltaMaker, Instruction};
pub(crate) use shift::{Shift, sum};
pub(crate) use sketch::{Part, parts, sketch};
pub(crate) use windows::{FilePart, hash_windows};
