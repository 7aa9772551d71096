//! Carries the synchronisation engine's messages.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, future::ready};
use proto::agent::v1::{
    Live, SyncEndedRequest, SyncFrame, SyncOpen, sync_client::SyncClient, sync_frame::What,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{AgentHub, QUICK, client, error};
use crate::{
    app::{
        AppError,
        agent_calls::{Incarnation, SyncCalls, SyncPipe},
    },
    domain::ids::StudioId,
};

/// Messages of at most 1 MiB that wait, each way.
const WAITING: usize = 4;

#[async_trait]
impl SyncCalls for AgentHub {
    fn incarnation(&self, studio: &StudioId) -> Option<Incarnation> {
        let slot = self.registry.find(studio)?;
        let live = slot.control.borrow();
        live.as_ref().map(|live| Incarnation { epoch: live.epoch, pod_uid: live.pod_uid.clone() })
    }

    async fn exchange(
        &self,
        studio: &StudioId,
        mount: &str,
        run: &str,
        live: bool,
    ) -> Result<SyncPipe, AppError> {
        let mut sync = client!(SyncClient<_>, self.bulk(studio).await?);
        let live = if live { Live::On } else { Live::Off };
        let open =
            SyncOpen { mount_id: mount.to_owned(), run_id: run.to_owned(), live: live.into() };
        let first = SyncFrame { what: Some(What::Open(open)) };
        let (to_agent, outgoing) = mpsc::channel::<Bytes>(WAITING);
        let frames = ReceiverStream::new(outgoing)
            .map(|message| SyncFrame { what: Some(What::Message(message)) });
        let requests = futures_util::stream::once(ready(first)).chain(frames);
        let mut incoming = error::call(QUICK, "mount", sync.exchange(requests)).await?;
        let (give, from_agent) = mpsc::channel(WAITING);
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let pump = async {
                loop {
                    let message = match incoming.message().await {
                        Ok(Some(SyncFrame { what: Some(What::Message(message)) })) => Ok(message),
                        // The agent opens nothing, and what is newer than we are is not for us.
                        Ok(Some(_)) => continue,
                        Ok(None) => return,
                        Err(status) => Err(error::from_status("mount", &status)),
                    };
                    let broken = message.is_err();
                    if give.send(message).await.is_err() || broken {
                        return;
                    }
                }
            };
            tokio::select! {
                () = pump => {}
                // Nobody reads any more: the stream is reset by being dropped.
                () = give.closed() => {}
                () = closing.cancelled() => {}
            }
        });
        Ok(SyncPipe { to_agent, from_agent })
    }

    async fn sync_ended(
        &self,
        studio: &StudioId,
        id: &str,
        ok: bool,
        message: &str,
    ) -> Result<(), AppError> {
        let mut session = self.session(studio)?;
        let request = SyncEndedRequest { sync_id: id.to_owned(), ok, message: message.to_owned() };
        error::call(QUICK, "synchronisation", session.sync_ended(request)).await?;
        Ok(())
    }
}
