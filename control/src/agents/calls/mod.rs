//! What the use cases ask of agents, one file a family.

mod entrypoints;
mod files;
mod sessions;
mod sync;
mod tunnel;

use std::time::Duration;

use proto::agent::v1::{OpenBulkRequest, session_client::SessionClient};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::{AgentHub, error};
use crate::{app::AppError, domain::ids::StudioId};

/// Of calls that the agent answers at once.
pub(super) const QUICK: Duration = Duration::from_secs(15);
/// Until an agent has dialled its second connection.
const BULK_TIMEOUT: Duration = Duration::from_secs(20);

/// A client with our limits.
macro_rules! client {
    ($client:ty, $channel:expr) => {
        <$client>::new($channel).max_decoding_message_size(proto::MESSAGE_LIMIT_BYTES)
    };
}
use client;

impl AgentHub {
    /// The connection for calls, shells, events and logs.
    pub(super) fn control(&self, studio: &StudioId) -> Result<Channel, AppError> {
        let slot = self.registry.find(studio).ok_or_else(error::gone)?;
        let live = slot.control.borrow().as_ref().map(|live| live.channel.clone());
        live.ok_or_else(error::gone)
    }

    pub(super) fn session(&self, studio: &StudioId) -> Result<SessionClient<Channel>, AppError> {
        Ok(client!(SessionClient<_>, self.control(studio)?))
    }

    /// The connection for what is large; asks for it when there is none. Cancel safe.
    async fn bulk(&self, studio: &StudioId) -> Result<Channel, AppError> {
        let slot = self.registry.find(studio).ok_or_else(error::gone)?;
        let mut bulk = slot.bulk.subscribe();
        if let Some(live) = &*bulk.borrow_and_update() {
            return Ok(live.channel.clone());
        }
        let mut session = self.session(studio)?;
        error::call(QUICK, "the second connection", session.open_bulk(OpenBulkRequest {})).await?;
        let opened = timeout(BULK_TIMEOUT, bulk.wait_for(Option::is_some)).await;
        match opened {
            Ok(Ok(live)) => live.as_ref().map(|live| live.channel.clone()).ok_or_else(error::gone),
            Ok(Err(_)) => Err(error::gone()),
            Err(_) => Err(AppError::Unreachable {
                why: "its agent did not open its second connection in time".to_owned(),
            }),
        }
    }
}
