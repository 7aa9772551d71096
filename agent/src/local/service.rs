//! `Local`: what only the socket answers.

use std::sync::Arc;
use std::time::Duration;

use proto::agent::v1::{
    StatusQuery, StatusReport, SyncNowReply, SyncNowRequest, local_server::Local,
    sync_wanted::Reason,
};
use tonic::{Request, Response, Status};

use crate::agent::Agent;

const SYNC_TIMEOUT: Duration = Duration::from_mins(10);

#[derive(Debug, Clone)]
pub(crate) struct LocalService {
    pub(crate) agent: Arc<Agent>,
}

#[tonic::async_trait]
impl Local for LocalService {
    async fn status(&self, _: Request<StatusQuery>) -> Result<Response<StatusReport>, Status> {
        let agent = &self.agent;
        let actions =
            agent.launch.plan().map(|plan| plan.manifest.actions.clone()).unwrap_or_default();
        Ok(Response::new(StatusReport {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            studio_id: agent.config.studio_id.clone(),
            epoch: agent.config.epoch,
            phase: agent.events.phase().into(),
            generation: agent.launch.generation(),
            connected: *agent.connected.borrow(),
            entrypoints: agent.events.entrypoints(),
            sessions: agent.sessions.list().iter().map(|session| session.info()).collect(),
            actions: actions.into_iter().map(|action| action.id).collect(),
        }))
    }

    async fn sync_now(
        &self,
        request: Request<SyncNowRequest>,
    ) -> Result<Response<SyncNowReply>, Status> {
        let agent = &self.agent;
        if !agent.launch.has_started() {
            return Err(Status::failed_precondition("the studio has not started yet"));
        }
        if !*agent.connected.borrow() {
            return Err(Status::unavailable("the control plane is away"));
        }
        let within = match request.get_ref().timeout_ms {
            0 => SYNC_TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)),
        };
        let outcome = tokio::time::timeout(within, agent.sync_requests.ask(Reason::User)).await;
        let outcome = outcome
            .map_err(|_| Status::deadline_exceeded("the control plane has not answered in time"))?;
        Ok(Response::new(SyncNowReply { ok: outcome.ok, message: outcome.message }))
    }
}
