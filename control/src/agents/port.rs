//! What the reconcilers ask of agents.

use std::time::Duration;

use async_trait::async_trait;
use proto::agent::v1::{DrainRequest, LaunchRequest, StartEntrypointsRequest};
use tokio::sync::watch;

use super::{AgentHub, ca, calls::QUICK, convert, error};
use crate::{
    app::{AppError, ports::Agents},
    domain::{agent::AgentView, ids::StudioId, launch::Launch},
};

#[async_trait]
impl Agents for AgentHub {
    async fn issue_token(&self, studio: &StudioId, epoch: u64) -> Result<String, AppError> {
        let token = self.identity.issue(studio, epoch).await?;
        self.registry.slot(studio).supersede(epoch);
        Ok(token)
    }

    async fn expect_pod(&self, studio: &StudioId, epoch: u64) -> Result<(), AppError> {
        self.identity.expect_pod(studio, epoch).await?;
        self.registry.slot(studio).supersede(epoch);
        Ok(())
    }

    fn connection_env(&self) -> Vec<(String, String)> {
        [
            ("ATELIER_CONTROL_PLANE", self.address.as_str()),
            ("ATELIER_CONTROL_PLANE_NAME", ca::SERVER_NAME),
            ("ATELIER_CA", self.ca.certificate.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn watch(&self, studio: &StudioId) -> watch::Receiver<AgentView> {
        self.registry.slot(studio).view.subscribe()
    }

    async fn launch(&self, studio: &StudioId, launch: &Launch) -> Result<(), AppError> {
        let mut session = self.session(studio)?;
        let request = LaunchRequest { manifest: Some(convert::manifest(launch)) };
        let reply = error::call(QUICK, "launch", session.launch(request)).await?;
        let phase = convert::phase(reply.phase());
        self.registry.slot(studio).view.send_modify(|view| {
            view.generation = launch.generation;
            view.phase = phase;
        });
        Ok(())
    }

    async fn start_entrypoints(&self, studio: &StudioId, generation: u64) -> Result<(), AppError> {
        let mut session = self.session(studio)?;
        error::call(QUICK, "start", session.start(StartEntrypointsRequest { generation })).await?;
        Ok(())
    }

    async fn drain(
        &self,
        studio: &StudioId,
        grace: Duration,
        reason: &str,
        without_sync: bool,
    ) -> Result<(), AppError> {
        let mut session = self.session(studio)?;
        let request =
            DrainRequest { grace_ms: convert::ms(grace), reason: reason.to_owned(), without_sync };
        error::call(QUICK, "drain", session.drain(request)).await?;
        Ok(())
    }

    async fn forget(&self, studio: &StudioId) -> Result<(), AppError> {
        self.identity.forget(studio).await?;
        self.registry.forget(studio);
        Ok(())
    }
}
