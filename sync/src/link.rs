//! The way to the other side.

use bytes::Bytes;
use thiserror::Error;

/// Largest encoded message.
pub const MESSAGE_LIMIT_BYTES: usize = 1 << 20;

/// The other side is gone, or broke the rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkError {
    #[error("the connection was lost")]
    Gone,
    #[error("a message of {bytes} bytes is longer than 1 MiB")]
    TooLong { bytes: usize },
    #[error("{message}")]
    Peer { message: String },
}

/// Whole messages in order, both ways, blocking. At least four messages may wait in each direction before `send` blocks: the
/// engine's requests rely on it.
pub trait Link: Send {
    /// Waits until there is room. Messages are at most [`MESSAGE_LIMIT_BYTES`] long.
    fn send(&mut self, message: Bytes) -> Result<(), LinkError>;

    /// Waits for the next message; `None` when the other side ended cleanly.
    fn recv(&mut self) -> Result<Option<Bytes>, LinkError>;
}
