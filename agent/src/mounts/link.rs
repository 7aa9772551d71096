//! The engine's end of a run: blocking, message by message.

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

/// Largest encoded message of the engine.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 1 << 20;
/// Messages that may wait in each direction.
pub(super) const WAITING: usize = 4;

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

/// Belongs to one run. Call it on a thread that may block.
#[derive(Debug)]
pub struct Link {
    pub(super) incoming: mpsc::Receiver<Result<Bytes, LinkError>>,
    pub(super) outgoing: mpsc::Sender<Bytes>,
}

impl Link {
    /// Waits until there is room.
    pub fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        if message.len() > MESSAGE_LIMIT_BYTES {
            return Err(LinkError::TooLong { bytes: message.len() });
        }
        self.outgoing.blocking_send(message).map_err(|_| LinkError::Gone)
    }

    /// Waits for the next message; `None` when the other side ended cleanly.
    pub fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.incoming.blocking_recv().transpose()
    }
}
