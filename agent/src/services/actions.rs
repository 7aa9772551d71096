//! `Actions`: runs of the template's actions.

use proto::agent::v1::{RunActionReply, RunActionRequest, actions_server::Actions};
use tonic::{Request, Response, Status};

use super::Service;
use super::process::refuse_start;
use crate::actions::ActionError;

#[tonic::async_trait]
impl Actions for Service {
    async fn run(
        &self,
        request: Request<RunActionRequest>,
    ) -> Result<Response<RunActionReply>, Status> {
        let started =
            self.agent.actions.run(request.into_inner()).map_err(|error| match &error {
                ActionError::Unknown { .. } => Status::not_found(error.to_string()),
                ActionError::NoManifest | ActionError::Runs { .. } => {
                    Status::failed_precondition(error.to_string())
                }
                ActionError::QueueFull => Status::resource_exhausted(error.to_string()),
                ActionError::Input { .. } => Status::invalid_argument(error.to_string()),
                ActionError::Start(start) => refuse_start(start),
            })?;
        let reply = RunActionReply {
            session_id: started.session.id.to_string(),
            queued_behind: started.queued_behind,
        };
        Ok(Response::new(reply))
    }
}
