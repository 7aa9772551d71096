//! One file's content from one side to the other.
//!
//! The sender reads the file once, hashing as it goes, and sends either the content or the way there from a basis that both
//! sides know. The receiver writes beside its final place, hashing as it goes. Neither keeps a whole file in memory.

mod receive;
mod send;

pub(crate) use receive::{Receipt, copy_local, receive, write_given};
pub(crate) use send::{Announced, Sent, send};

use crate::{delta::BlockList, entry::Entry};

/// A content that lies in the staging folder.
pub(crate) struct Staged {
    /// In the staging folder.
    pub name: String,
    pub entry: Entry,
    pub blocks: Option<BlockList>,
    /// Open while its content must be made durable by itself.
    pub file: Option<std::fs::File>,
}
