//! One file's content from one side to the other.
//!
//! The sender reads the file once, hashing as it goes, and sends either the content or the way there from a basis that both
//! sides know. The receiver writes beside its final place, hashing as it goes. Neither keeps a whole file in memory.

mod receive;
mod send;
mod small;
mod writers;

pub(crate) use receive::{Receipt, copy_local, receive, write_given};
pub(crate) use send::{Announced, Sent, send, send_small};
pub(crate) use small::{SMALL_BYTES, Small, read_small};
pub(crate) use writers::{Job, Writers};

use crate::{delta::BlockList, entry::Entry, fs::Stamp};

/// A content that lies in the staging folder.
pub(crate) struct Staged {
    /// The part of the staging folder.
    pub shelf: usize,
    /// There.
    pub name: String,
    pub entry: Entry,
    pub blocks: Option<BlockList>,
    /// Open while its content must be made durable by itself.
    pub file: Option<std::fs::File>,
    /// When it was complete.
    pub stamp: Stamp,
}
