//! The engine's end of a run: blocking, message by message.

use bytes::Bytes;
use sync::{LinkError, MESSAGE_LIMIT_BYTES};
use tokio::sync::mpsc;

/// Messages that may wait in each direction.
pub(super) const WAITING: usize = 4;

/// Belongs to one run. Call it on a thread that may block.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) incoming: mpsc::Receiver<Result<Bytes, LinkError>>,
    pub(super) outgoing: mpsc::Sender<Bytes>,
}

impl sync::Link for Link {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        if message.len() > MESSAGE_LIMIT_BYTES {
            return Err(LinkError::TooLong { bytes: message.len() });
        }
        self.outgoing.blocking_send(message).map_err(|_| LinkError::Gone)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.incoming.blocking_recv().transpose()
    }
}
