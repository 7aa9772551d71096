//! Follows what an agent tells and keeps the view of it; passes its wishes on.

use std::{sync::Arc, time::Duration};

use proto::agent::v1::{
    Event, HelloReply, SyncEndedRequest, SyncWanted, WatchRequest, event::What,
    session_client::SessionClient, sync_wanted::Reason,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::{AgentHub, convert, registry::Slot};
use crate::{
    app::agent_calls::{SyncWish, WishReason},
    domain::ids::StudioId,
};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a stream that broke on a living connection is opened anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Entrypoints that are kept of one agent: more is no studio of ours.
const ENTRYPOINTS: usize = 256;
const MOUNTS: usize = 256;

/// Follows for ever; the caller ends it with the connection.
pub(super) async fn follow(
    hub: &Arc<AgentHub>,
    studio: &StudioId,
    slot: &Slot,
    hello: &HelloReply,
    session: &mut SessionClient<Channel>,
) {
    let mut follower = Follower {
        hub,
        studio,
        slot,
        hello,
        // What a control plane before us may have answered is in this range: only the newest of it still matters.
        replayed_to: if slot.seen(&hello.boot_id) == 0 { hello.last_event_seq } else { 0 },
        replayed: None,
    };
    loop {
        let after_seq = slot.seen(&hello.boot_id);
        let opened = timeout(CALL_TIMEOUT, session.watch(WatchRequest { after_seq })).await;
        match opened {
            Ok(Ok(stream)) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(event)) => follower.take(event, session).await,
                        Ok(None) => break,
                        Err(status) => {
                            tracing::debug!(%studio, %status, "an agent's events broke off");
                            break;
                        }
                    }
                }
            }
            Ok(Err(status)) => tracing::debug!(%studio, %status, "an agent tells no events"),
            Err(_) => tracing::debug!(%studio, "an agent did not begin to tell events in time"),
        }
        sleep(AGAIN).await;
    }
}

struct Follower<'a> {
    hub: &'a AgentHub,
    studio: &'a StudioId,
    slot: &'a Slot,
    hello: &'a HelloReply,
    replayed_to: u64,
    replayed: Option<SyncWanted>,
}

impl Follower<'_> {
    async fn take(&mut self, event: Event, session: &mut SessionClient<Channel>) {
        let seq = event.seq;
        match event.what {
            Some(What::Phase(phase)) => {
                let phase = convert::phase_number(phase);
                self.slot.view.send_modify(|view| view.phase = phase);
            }
            Some(What::Entrypoint(state)) => {
                let state = convert::entrypoint_view(&state);
                self.slot.view.send_modify(|view| {
                    let full = view.entrypoints.len() >= ENTRYPOINTS;
                    match view.entrypoints.iter_mut().find(|known| known.id == state.id) {
                        Some(known) => *known = state,
                        None if full => {}
                        None => view.entrypoints.push(state),
                    }
                });
            }
            Some(What::MountSight(told)) => {
                let sight = convert::mount_sight(&told);
                self.slot.view.send_modify(|view| {
                    let full = view.mounts.len() >= MOUNTS;
                    match view.mounts.iter_mut().find(|known| known.mount == sight.mount) {
                        Some(known) => *known = sight,
                        None if full => {}
                        None => view.mounts.push(sight),
                    }
                });
            }
            Some(What::Notice(text)) => self.slot.notice(&text),
            Some(What::SyncWanted(wanted)) if seq <= self.replayed_to => {
                if let Some(older) = self.replayed.replace(wanted) {
                    decline(session, older.sync_id).await;
                }
            }
            Some(What::SyncWanted(wanted)) => self.wish(wanted).await,
            // Who waits for a session's end is attached to it; a gap is followed by the state.
            Some(What::SessionEnded(_) | What::Dropped(_)) | None => {}
        }
        if seq >= self.replayed_to
            && let Some(wanted) = self.replayed.take()
        {
            self.wish(wanted).await;
        }
        self.slot.mark_seen(&self.hello.boot_id, seq);
    }

    async fn wish(&self, wanted: SyncWanted) {
        let reason = match wanted.reason() {
            Reason::DrainBeforeStop => WishReason::DrainBeforeStop,
            Reason::DrainAfterStop => WishReason::DrainAfterStop,
            Reason::User | Reason::Unspecified => WishReason::User,
            Reason::Live => WishReason::Live { mount: wanted.mount_id },
        };
        let wish = SyncWish {
            studio: self.studio.clone(),
            epoch: self.hello.epoch,
            id: wanted.sync_id,
            reason,
        };
        // Fails only when the program ends.
        drop(self.hub.wishes.send(wish).await);
    }
}

/// Tells an agent that an old wish of its is not going to be fulfilled: a newer one is.
async fn decline(session: &mut SessionClient<Channel>, sync_id: String) {
    let message = "the control plane was started anew; ask again".to_owned();
    let ended = SyncEndedRequest { sync_id, ok: false, message };
    drop(timeout(CALL_TIMEOUT, session.sync_ended(ended)).await);
}
