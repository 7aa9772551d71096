//! A client of the agent that runs.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use hyper_util::rt::TokioIo;
use proto::agent::v1::actions_client::ActionsClient;
use proto::agent::v1::local_client::LocalClient;
use proto::agent::v1::logs_client::LogsClient;
use proto::agent::v1::process_client::ProcessClient;
use tonic::transport::{Channel, Endpoint};

use crate::config::state_dir_from_env;
use crate::local;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(Channel);

impl Client {
    pub(super) async fn connect() -> anyhow::Result<Self> {
        let state_dir = state_dir_from_env()?;
        let stream = local::connect(&state_dir).await.with_context(|| {
            format!("no agent answers in {}; is this the inside of a studio?", state_dir.display())
        })?;
        let once = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
        let channel = Endpoint::from_static("http://agent")
            .connect_with_connector(tower::service_fn(move |_| {
                let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
                async move {
                    stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected))
                }
            }))
            .await?;
        Ok(Self(channel))
    }

    pub(super) fn local(&self) -> LocalClient<Channel> {
        LocalClient::new(self.0.clone())
    }

    pub(super) fn process(&self) -> ProcessClient<Channel> {
        ProcessClient::new(self.0.clone())
    }

    pub(super) fn actions(&self) -> ActionsClient<Channel> {
        ActionsClient::new(self.0.clone())
    }

    pub(super) fn logs(&self) -> LogsClient<Channel> {
        LogsClient::new(self.0.clone())
    }
}
