//! What a run did, and what it could not do.

use std::{fmt, str::FromStr, time::Duration};

use crate::{Entry, RelPath, Side, entry::Digest};

/// How a path changed on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Modified,
    Deleted,
    /// A folder that came from another path, with everything in it.
    Moved,
}

impl ChangeKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Moved => "moved",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: RelPath,
    /// Where it was, with [`ChangeKind::Moved`].
    pub from: Option<RelPath>,
    pub kind: ChangeKind,
    pub is_folder: bool,
}

/// One side's version of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub entry: Entry,
    /// Since 1970; negative: not known.
    pub modified_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// Edited on both sides.
    EditEdit,
    /// Edited in the studio, deleted on the server.
    DeletedOnServer,
    /// Edited on the server, deleted in the studio.
    DeletedInStudio,
    /// A folder on one side, something else on the other.
    Kind,
}

impl ConflictKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::EditEdit => "edit_edit",
            Self::DeletedOnServer => "deleted_on_server",
            Self::DeletedInStudio => "deleted_in_studio",
            Self::Kind => "kind",
        }
    }
}

/// Names the two versions of a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConflictToken(pub(crate) [u8; 16]);

impl fmt::Display for ConflictToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ConflictToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// It is no token of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a conflict's token has 32 hexadecimal digits")]
pub struct InvalidToken;

impl FromStr for ConflictToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidToken)?;
        bytes.try_into().map(Self).map_err(|_| InvalidToken)
    }
}

/// Both sides changed it, and nobody decided yet. Neither side was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub path: RelPath,
    pub kind: ConflictKind,
    pub server: Option<Version>,
    pub studio: Option<Version>,
    /// What both had before, if that is known.
    pub base: Option<Digest>,
    pub token: ConflictToken,
}

/// One side lost so much that nothing was deleted on the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MassDeletion {
    /// The side that lost files.
    pub lost_by: Side,
    /// With those of before.
    pub deletions: usize,
    /// Of these, by earlier runs, as the request said: they are gone on both sides.
    pub before: usize,
    /// Files that were agreed on, with those.
    pub of: usize,
}

/// Files that each side lost, and that are gone from the other therefore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    pub by_server: u64,
    pub by_studio: u64,
}

impl Losses {
    pub const fn by(&self, side: Side) -> u64 {
        match side {
            Side::Server => self.by_server,
            Side::Studio => self.by_studio,
        }
    }

    pub const fn by_mut(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::Server => &mut self.by_server,
            Side::Studio => &mut self.by_studio,
        }
    }
}

/// A path that was left out, with the reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub path: RelPath,
    pub reason: String,
    /// It is of a kind that is never synchronised, such as a socket: nothing is missing.
    pub special: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Entries on the server before.
    pub server_entries: u64,
    pub studio_entries: u64,
    /// Of the engine's messages.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub took: Duration,
}

/// The end of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What this run changed on the server; after [`Direction::Check`](crate::Direction::Check): what one would.
    pub server_changes: Vec<Change>,
    pub studio_changes: Vec<Change>,
    pub conflicts: Vec<Conflict>,
    pub questions: Vec<MassDeletion>,
    pub skipped: Vec<Skipped>,
    /// Conflict copies that this run made.
    pub kept_both: Vec<RelPath>,
    /// What has only moved is not lost.
    pub losses: Losses,
    pub fetched: Vec<(RelPath, Vec<u8>)>,
    pub stats: Stats,
}
