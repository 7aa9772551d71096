//! `Session`: identity, launch, state and end.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream;
use proto::agent::v1::{
    AdmitReply, AdmitRequest, ConnectionKind, ControlEntrypointReply, ControlEntrypointRequest,
    DrainReply, DrainRequest, Event, HelloReply, HelloRequest, LaunchReply, LaunchRequest,
    OpenBulkReply, OpenBulkRequest, StartEntrypointsReply, StartEntrypointsRequest, SyncEndedReply,
    SyncEndedRequest, WatchRequest, admit_request::Verdict as Says,
    control_entrypoint_request::Verb, session_server::Session,
};
use tonic::{Request, Response, Status};

use super::{Service, Stream_};
use crate::connection::{Gate, Kind, Verdict};
use crate::drain::DrainWanted;
use crate::launch::LaunchError;
use crate::sync_wanted::Outcome;

/// Events taken from the log at once.
const BATCH: usize = 256;

fn gate<T>(request: &Request<T>) -> Result<Gate, Status> {
    request
        .extensions()
        .get::<Gate>()
        .cloned()
        .ok_or_else(|| Status::internal("the connection has no gate"))
}

fn refuse(error: &LaunchError) -> Status {
    match error {
        LaunchError::Invalid { .. } => Status::invalid_argument(error.to_string()),
        LaunchError::Folder { .. } => Status::internal(error.to_string()),
        LaunchError::Old { .. } | LaunchError::Unknown { .. } | LaunchError::Draining => {
            Status::failed_precondition(error.to_string())
        }
    }
}

#[tonic::async_trait]
impl Session for Service {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let gate = gate(&request)?;
        let offered = request.get_ref().protocol;
        let agent = &self.agent;
        let connection = match gate.kind {
            Kind::Control => ConnectionKind::Control,
            Kind::Bulk => ConnectionKind::Bulk,
            Kind::Local => {
                return Err(Status::permission_denied(
                    "the socket inside the container says no credential",
                ));
            }
        };
        let credential = agent.credential.now();
        let credential = credential.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(HelloReply {
            protocol: offered.min(proto::PROTOCOL),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            connection: connection.into(),
            studio_id: agent.config.studio_id.clone(),
            credential,
            pod_uid: agent.config.pod_uid.clone(),
            boot_id: agent.boot_id.clone(),
            epoch: agent.config.epoch,
            phase: agent.events.phase().into(),
            generation: agent.launch.generation(),
            last_event_seq: agent.events.last_seq(),
            pod_name: agent.config.pod_name.clone(),
        }))
    }

    async fn admit(&self, request: Request<AdmitRequest>) -> Result<Response<AdmitReply>, Status> {
        let gate = gate(&request)?;
        let verdict = request
            .into_inner()
            .verdict
            .ok_or_else(|| Status::invalid_argument("a verdict is missing"))?;
        match verdict {
            Says::Accepted(accepted) => {
                if gate.decide(Verdict::Accepted)
                    && gate.kind == Kind::Control
                    && !accepted.session_key.is_empty()
                {
                    self.agent.credential.exchange(accepted.session_key);
                }
            }
            Says::Refused(refused) => {
                let retry_after = (refused.retry_after_ms != 0)
                    .then(|| Duration::from_millis(u64::from(refused.retry_after_ms)));
                gate.decide(Verdict::Refused {
                    reason: refused.reason(),
                    message: refused.message,
                    retry_after,
                });
            }
        }
        Ok(Response::new(AdmitReply {}))
    }

    async fn launch(
        &self,
        request: Request<LaunchRequest>,
    ) -> Result<Response<LaunchReply>, Status> {
        let manifest = request
            .into_inner()
            .manifest
            .ok_or_else(|| Status::invalid_argument("a manifest is missing"))?;
        let phase = self.agent.launch.launch(manifest).map_err(|error| refuse(&error))?;
        Ok(Response::new(LaunchReply { phase: phase.into() }))
    }

    async fn start(
        &self,
        request: Request<StartEntrypointsRequest>,
    ) -> Result<Response<StartEntrypointsReply>, Status> {
        if let Some(plan) =
            self.agent.launch.start(request.get_ref().generation).map_err(|error| refuse(&error))?
        {
            self.agent.supervisor.apply(&plan);
        }
        Ok(Response::new(StartEntrypointsReply {}))
    }

    type WatchStream = Stream_<Event>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let events = self.agent.events.clone();
        let remote = gate(&request)?.kind == Kind::Control;
        let changed = events.changed();
        let state = (request.get_ref().after_seq, VecDeque::new(), changed, events);
        let stream =
            stream::unfold(state, move |(mut after, mut ready, mut changed, events)| async move {
                loop {
                    let next: Option<Event> = ready.pop_front();
                    if let Some(event) = next {
                        after = event.seq;
                        return Some((Ok(event), (after, ready, changed, events)));
                    }
                    // Asked for more: what was handed out before has been taken.
                    if remote {
                        events.mark_delivered(after);
                    }
                    changed.mark_unchanged();
                    ready.extend(events.after(after, BATCH));
                    if ready.is_empty() && changed.changed().await.is_err() {
                        return None;
                    }
                }
            });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn control_entrypoint(
        &self,
        request: Request<ControlEntrypointRequest>,
    ) -> Result<Response<ControlEntrypointReply>, Status> {
        let request = request.into_inner();
        let verb = request.verb();
        if verb == Verb::Unspecified {
            return Err(Status::invalid_argument("a verb is missing"));
        }
        let done = self.agent.supervisor.control(&request.id, verb).await;
        done.map_err(|error| Status::not_found(error.to_string()))?;
        Ok(Response::new(ControlEntrypointReply {}))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainReply>, Status> {
        let request = request.into_inner();
        self.agent.drain.want(DrainWanted {
            grace: (request.grace_ms != 0)
                .then(|| Duration::from_millis(u64::from(request.grace_ms))),
            reason: if request.reason.is_empty() {
                "asked by the control plane".to_owned()
            } else {
                request.reason
            },
            without_sync: request.without_sync,
        });
        Ok(Response::new(DrainReply {}))
    }

    async fn sync_ended(
        &self,
        request: Request<SyncEndedRequest>,
    ) -> Result<Response<SyncEndedReply>, Status> {
        let request = request.into_inner();
        let outcome = Outcome { ok: request.ok, message: request.message };
        self.agent.sync_requests.ended(&request.sync_id, outcome);
        Ok(Response::new(SyncEndedReply {}))
    }

    async fn open_bulk(
        &self,
        _: Request<OpenBulkRequest>,
    ) -> Result<Response<OpenBulkReply>, Status> {
        self.agent.bulk_wanted.notify_one();
        Ok(Response::new(OpenBulkReply {}))
    }
}
