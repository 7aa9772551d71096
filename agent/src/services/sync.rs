//! `Sync`: carries the synchronisation engine's messages for one mount.

use std::time::Duration;

use proto::agent::v1::{
    Live, SyncFrame, event::What as EventWhat, sync_frame::What, sync_server::Sync,
};
use tonic::{Request, Response, Status, Streaming};

use super::{Service, Stream_};
use crate::mounts;

#[tonic::async_trait]
impl Sync for Service {
    type ExchangeStream = Stream_<SyncFrame>;

    async fn exchange(
        &self,
        request: Request<Streaming<SyncFrame>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.and_then(|frame| frame.what);
        let Some(What::Open(open)) = first else {
            return Err(Status::invalid_argument("the first frame must open a run"));
        };
        let agent = &self.agent;
        let plan = agent.launch.plan();
        let plan =
            plan.ok_or_else(|| Status::failed_precondition("no manifest has been launched yet"))?;
        let mount = plan.mount(&open.mount_id);
        let mount = mount
            .ok_or_else(|| Status::not_found(format!("there is no mount {:?}", open.mount_id)))?;
        let busy = agent.mounts.take_soon(&mount.id).await;
        let busy = busy.ok_or_else(|| {
            Status::aborted(format!("mount {:?} is being synchronised", mount.id))
        })?;
        let (state_dir, pod) = (&agent.config.state_dir, &agent.config.pod_uid);
        let target = mounts::target(&plan, mount, state_dir, pod, &agent.mounts.watches);
        let is_live = match open.live() {
            Live::On => true,
            Live::Off => false,
            Live::Unspecified => mount.live,
        };
        let watched = target.watched.clone();
        if let Some(watched) = &watched {
            mounts::set_live(agent, &mount.id, watched, is_live);
        }
        let (events, id) = (agent.events.clone(), mount.id.clone());
        let ended = move |took: Duration| {
            let Some(watched) = watched else { return };
            if let Some(sight) = watched.news(&id, is_live, took) {
                if sight.look_every_ms > 0 {
                    // Whoever follows it waits for a watch that there is not.
                    watched.changed.notify_one();
                }
                events.push(EventWhat::MountSight(sight));
            }
        };
        tracing::debug!(run = %open.run_id, mount = %mount.id, "synchronisation begins");
        let answers = mounts::exchange(&agent.tasks, mounts::serve, target, busy, incoming, ended);
        Ok(Response::new(Box::pin(answers)))
    }
}
