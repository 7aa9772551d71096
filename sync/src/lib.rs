//! The synchronisation engine: makes a folder on the server and a folder in a studio one, and loses nothing.
//!
//! The server leads ([`run`]), the studio follows ([`serve`]); between them is a [`Link`] of whole messages, whose nature the
//! engine does not know. Only the server decides.
//!
//! ```text
//!  server (run)                                        studio (serve)
//!  Hello   what the server remembers            ──▶    opens its root
//!                                               ◀──    Welcome   its root's name; whether it remembers the same
//!  scans its root …                                    … and scans its own at the same time
//!                                               ◀──    Listing   changes since then, or everything
//!  reconcile: base × server × studio → plan
//!  Fetch   contents that it wants               ──▶
//!                                               ◀──    Stream    contents, whole or as a way from what is known
//!  applies
//!  Stream  operations and contents, Commit      ──▶    applies
//!                                               ◀──    Results
//!  Agreed  what both sides have now             ──▶
//!  records it                                          records it
//!                                               ◀──    Done
//!  Done    the end                              ──▶
//! ```
//! A first copy into an empty studio is not listed and compared: the server goes through its root and sends batch by batch, and
//! both sides record each batch, which counts once all are there.
//!
//! Promises:
//! * A file's content is the old or the new one, never a mixture, and on the disk before its name is.
//! * What is replaced or deleted goes to the trash first; what somebody wrote at that very moment is kept beside it.
//! * The agreed state is recorded last, and only what both sides have on their disks: a crash anywhere costs a comparison.
//! * Without an agreed state, or with that of another pod or folder, both sides are merged and nothing is deleted.
//! * No file is ever in memory as a whole.
//!
//! Not here: networks, users, history. See `docs/decisions` for why the engine blocks.

mod apply;
mod clock;
mod content;
mod context;
mod delta;
mod entry;
mod error;
mod exclusions;
mod fs;
#[cfg(test)]
mod fuzz;
mod gone;
mod index;
mod link;
mod meter;
mod moves;
mod outcome;
mod path;
mod plan;
mod reconcile;
mod request;
mod server;
pub mod shadow;
mod side;
mod state;
mod studio;
mod threads;
mod transfer;
pub mod trash;
mod watch;
mod wire;

pub use clock::{Clock, SystemClock};
pub use context::{CancelFlag, Context};
pub use entry::{Digest, Entry, Tree};
pub use error::Error;
pub use exclusions::{ExclusionError, Exclusions, MOST_PATTERNS};
pub use fs::{Fault, FaultyFileSystem, FileSystem, RealFileSystem};
pub use link::{Link, LinkError, MESSAGE_LIMIT_BYTES};
pub use meter::{InFlight, Meter, Progress};
pub use outcome::{
    Change, ChangeKind, Conflict, ConflictKind, ConflictToken, InvalidToken, Losses, MassDeletion,
    Outcome, Skipped, Stats, Version,
};
pub(crate) use path::LONGEST_LINK;
pub use path::{LONGEST_NAME, LONGEST_PATH, PathError, RelPath};
pub use plan::Side;
pub use request::{Direction, Keep, OnConflict, OnMassDeletion, Request, Resolution};
pub use server::{ServerSide, run};
pub use studio::{StudioSide, serve};

pub use watch::{FULL_EVERY, Lull, Sight, Watch};

/// Largest content that [`Request::fetch`] brings.
pub const FETCH_LIMIT_BYTES: u64 = 1 << 20;
