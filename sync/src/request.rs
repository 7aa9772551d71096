//! What a run is asked to do.

use crate::{ConflictToken, Losses, RelPath, shadow::Shadow};

/// Which side's changes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Both,
    ToStudio,
    ToServer,
    /// Nothing moves; the outcome says what would.
    Check,
}

/// What happens to a conflict that nobody decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Neither side is touched.
    #[default]
    Report,
    /// The studio's version gets a conflict name beside the server's; an edit stays where the other side deleted.
    KeepBoth,
}

/// What happens when one side lost most of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMassDeletion {
    /// Nothing is deleted on the other side; the outcome has the question.
    #[default]
    Ask,
    /// They were meant.
    Allow,
    /// They were not: the files come back from the other side.
    Restore,
}

/// How a conflict ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    Studio,
    Server,
    /// The studio's version gets a conflict name.
    Both,
    /// A content that somebody made of both, such as a merge; on every side that may be changed.
    Content(Vec<u8>),
}

/// Somebody decided on a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub path: RelPath,
    pub keep: Keep,
    /// The versions that they saw: if there are others by now, the conflict is reported anew. `None`: whatever is there.
    pub expect: Option<ConflictToken>,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub direction: Direction,
    pub on_conflict: OnConflict,
    pub on_mass_deletion: OnMassDeletion,
    /// By runs a short while ago: a deletion that comes in many small pieces is a mass deletion too.
    pub lost_before: Losses,
    pub resolutions: Vec<Resolution>,
    /// The studio's contents of these, each at most [`FETCH_LIMIT_BYTES`](crate::FETCH_LIMIT_BYTES), such as for a diff.
    pub fetch: Vec<RelPath>,
    /// Where to keep what the studio has and the server lacks, with [`Direction::Check`].
    pub shadow: Option<Shadow>,
}

impl Request {
    /// Whether it does something, and nobody asks about single paths: then folders may be dealt with as a whole.
    pub(crate) fn is_plain(&self) -> bool {
        self.direction != Direction::Check && self.resolutions.is_empty() && self.fetch.is_empty()
    }
}
