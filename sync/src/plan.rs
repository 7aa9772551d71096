//! Operations, as reconciliation decides on them and as they are carried out.

use std::sync::Arc;

use crate::{RelPath, entry::Entry, trash::Thing};

/// One side of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Server,
    Studio,
}

impl Side {
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Server => Self::Studio,
            Self::Studio => Self::Server,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Studio => "studio",
        }
    }
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// This path of the other side.
    Peer(RelPath),
    /// This path of the same side, which has the content already.
    Local(RelPath),
    /// What was displaced on the same side.
    Trash(Thing),
    /// Somebody decided on it.
    Given(Arc<[u8]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    MakeFolder,
    /// A folder only when it is empty.
    Delete,
    /// A folder with everything that was agreed below it, or nothing of it where it holds anything else.
    DeleteTree,
    SetExecutable(bool),
    /// What is there, if not a folder, is displaced.
    PutFile {
        entry: Entry,
        modified_ms: i64,
        source: Source,
    },
    PutLink {
        target: Box<[u8]>,
    },
    /// Comes here with everything in it.
    MoveFolder {
        from: RelPath,
    },
}

/// When an operation is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Copies of what is about to be displaced.
    Copies,
    Early,
    Deletions,
    /// Where something else must go first.
    Late,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub phase: Phase,
    pub path: RelPath,
    pub action: Action,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// It is not as it was seen any more: nothing was done.
    Changed,
    /// The reason is for people.
    Skipped(String),
}

impl Action {
    pub(crate) const fn deletes(&self) -> bool {
        matches!(self, Self::Delete | Self::DeleteTree)
    }
}

impl Operation {
    /// Content that would have to come from the other side.
    pub(crate) const fn bytes(&self) -> u64 {
        match &self.action {
            Action::PutFile { entry, source: Source::Peer(_), .. } => entry.size(),
            _ => 0,
        }
    }
}
