//! The engine's way to an agent.

use bytes::Bytes;
use sync::{Link, LinkError};

use crate::app::{AppError, agent_calls::SyncPipe};

/// Belongs to one run. Call it on a thread that may block.
pub(super) struct AgentLink(pub SyncPipe);

impl Link for AgentLink {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        match self.0.to_agent.blocking_send(message) {
            Ok(()) => Ok(()),
            // Why is known at the other end.
            Err(_) => Err(self.reason()),
        }
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.0.from_agent.blocking_recv().transpose().map_err(|error| told(&error))
    }
}

impl AgentLink {
    fn reason(&mut self) -> LinkError {
        while let Ok(message) = self.0.from_agent.try_recv() {
            if let Err(error) = message {
                return told(&error);
            }
        }
        LinkError::Gone
    }
}

fn told(error: &AppError) -> LinkError {
    match error {
        AppError::Unreachable { .. } => LinkError::Gone,
        _ => LinkError::Peer { message: error.to_string() },
    }
}
