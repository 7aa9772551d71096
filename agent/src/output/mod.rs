//! What processes print: bounded rings with offsets, read by any number of viewers at their own pace.
//!
//! ```text
//! process ─pipe/PTY─▶ pump ─▶ Journal (Ring) ─▶ Viewer ─▶ gRPC stream
//! ```
//! A slow viewer loses the oldest bytes and is told so by a [`Piece::Gap`], or, when the journal is lossless, makes the
//! pump wait. Nobody else is held up.

mod journal;
mod pump;
mod ring;

pub(crate) use journal::{Journal, Retention, Viewer};
pub(crate) use pump::pump;
pub(crate) use ring::{Piece, Tag};

/// Ring of a terminal.
pub(crate) const TERMINAL_LIMIT_BYTES: usize = 256 << 10;
/// Ring of a process with pipes, and of an entrypoint unless the manifest says otherwise.
pub(crate) const PIPE_LIMIT_BYTES: usize = 1 << 20;
