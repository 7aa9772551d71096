//! Trees, disks and clocks at the end of what there is.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod back;
mod batches;
mod case;
mod clocks;
mod denied;
mod first_copy;
mod gone;
mod many;
mod moving;
mod names;
mod new_folders;
mod sparse;
mod trees;
