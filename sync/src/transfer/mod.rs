//! One file's content from one side to the other.
//!
//! The sender sends either the content or the way there from a basis that both sides know; what the look at the folder told of
//! its blocks is not read again. The receiver writes beside its final place, hashing what it can't prove. Neither keeps a whole
//! file in memory.

#[cfg(test)]
mod fuzz;
mod receive;
mod send;
mod small;
mod writers;
mod writing;

pub(crate) use receive::{Receipt, copy_local, receive, write_given};
pub(crate) use send::{Announced, Sent, send, send_small};
pub(crate) use small::{SMALL_BYTES, Small, read_copy, read_small, read_whole};
pub(crate) use writers::{Home, Job, Writers};
pub(crate) use writing::BasisFile;

use crate::{RelPath, delta::BlockList, entry::Entry, fs::Stamp};

/// A content that lies in the staging folder.
pub(crate) struct Staged {
    /// The part of the staging folder.
    pub shelf: usize,
    /// There.
    pub name: String,
    /// The new folder in the staging folder where it lies instead, under its final name.
    pub within: Option<RelPath>,
    pub entry: Entry,
    pub blocks: Option<BlockList>,
    /// Open while its content must be made durable by itself.
    pub file: Option<std::fs::File>,
    /// When it was complete.
    pub stamp: Stamp,
}
