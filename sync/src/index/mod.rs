//! What lies below a root, and how it is known without reading everything anew.
//!
//! A content is hashed again only when its stamp changed or when the stamp can't be trusted: a file that was changed so shortly
//! before it was looked at that a second change could carry the same stamp (*racy*, the problem that git has with its index
//! too). Folders that can't be read make everything below them *unknown*, which is not the same as gone.

mod hash;
mod large;
mod moved;
mod queue;
mod same;
mod scan;
mod visit;
mod walk;

pub(crate) use hash::{Hashed, hash};
pub(crate) use scan::{Difference, Scan, Scanned, Scanning, Unknown, scan};
pub(crate) use walk::{Met, Walk};

use crate::{entry::Entry, fs::Stamp};

/// Changes that are closer together than this may carry one stamp (a tick of the kernel's coarse clock, with room).
const RACY_NS: i64 = 10_000_000;
/// The same where the file system keeps whole seconds only.
const RACY_COARSE_NS: i64 = 2_000_000_000;

/// A remembered entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub entry: Entry,
    pub stamp: Stamp,
    /// The stamp proves nothing.
    pub racy: bool,
}

/// Whether a stamp that was read at `now` (of the file system's clock) may be shared by a later change.
pub(crate) fn is_racy(stamp: &Stamp, now_ns: i64) -> bool {
    let coarse = stamp.mtime_ns % 1_000_000_000 == 0 && stamp.ctime_ns % 1_000_000_000 == 0;
    let window = if coarse { RACY_COARSE_NS } else { RACY_NS };
    stamp.mtime_ns.max(stamp.ctime_ns) >= now_ns.saturating_sub(window)
}

/// Names in the root that are the engine's own.
pub(crate) const RESERVED: &[u8] = b".atelier-sync";
