//! Hello and Admit: from a connection to an agent that counts. Then serves it until it is gone.

use std::{sync::Arc, time::Duration};

use proto::agent::v1::{
    Accepted, AdmitRequest, ConnectionKind, HelloReply, HelloRequest, Refusal, Refused,
    admit_request::Verdict as Says, session_client::SessionClient,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tonic::transport::Channel;

use super::{
    AgentHub,
    connection::Connection,
    events,
    identity::Verdict,
    registry::{Live, Use},
};

/// Of each step until the agent is admitted.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_AFTER_MS: u32 = 2_000;

/// Serves one connection to its end. The permit is given back once the agent is admitted, or refused.
pub(super) async fn serve<T>(hub: &Arc<AgentHub>, stream: T, permit: OwnedSemaphorePermit)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut connection = match timeout(STEP_TIMEOUT, Connection::over(stream)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "an agent does not speak HTTP/2"),
        Err(_) => return tracing::debug!("an agent did not begin to speak HTTP/2 in time"),
    };
    let mut session = SessionClient::new(connection.channel.clone())
        .max_decoding_message_size(proto::MESSAGE_LIMIT_BYTES);
    let Some(hello) = hello(hub, &mut session).await else {
        return;
    };
    let verdict = judge(hub, &hello).await;
    let Verdict::Accepted { studio, session_key } = verdict else {
        if let Verdict::Refused { reason, message } = verdict {
            tracing::info!(studio = %hello.studio_id.escape_debug(), epoch = hello.epoch, ?reason, "an agent is refused");
            refuse(&mut session, reason, message).await;
        }
        return;
    };
    let kind = match hello.connection() {
        ConnectionKind::Control => Use::Control,
        ConnectionKind::Bulk => Use::Bulk,
        ConnectionKind::Unspecified => {
            let message = "the connection says not what it is for".to_owned();
            return refuse(&mut session, Refusal::Protocol, message).await;
        }
    };
    let live = Live {
        number: hub.next_connection(),
        channel: connection.channel.clone(),
        epoch: hello.epoch,
        pod_uid: hello.pod_uid.clone(),
        boot_id: hello.boot_id.clone(),
        close: connection.close.clone(),
    };
    let slot = hub.registry.slot(&studio);
    // The key of a bulk connection is the one it already has.
    let session_key = if kind == Use::Control { session_key } else { String::new() };
    let admit = AdmitRequest { verdict: Some(Says::Accepted(Accepted { session_key })) };
    match timeout(STEP_TIMEOUT, session.admit(admit)).await {
        Ok(Ok(_)) => {}
        Ok(Err(status)) => {
            return tracing::debug!(%studio, %status, "an agent would not be admitted");
        }
        Err(_) => return tracing::debug!(%studio, "an agent did not answer its admission in time"),
    }
    drop(permit);
    let number = live.number;
    if let Err(reason) = slot.enter(kind, live, &hello) {
        return tracing::info!(%studio, epoch = hello.epoch, reason, "an agent came too late");
    }
    tracing::info!(%studio, epoch = hello.epoch, ?kind, "an agent is connected");
    match kind {
        Use::Control => tokio::select! {
            () = events::follow(hub, &studio, &slot, &hello, &mut session) => {}
            () = connection.gone() => {}
        },
        Use::Bulk => connection.gone().await,
    }
    slot.leave(kind, number);
    tracing::info!(%studio, ?kind, "an agent's connection is gone");
}

async fn hello(hub: &AgentHub, session: &mut SessionClient<Channel>) -> Option<HelloReply> {
    let request = HelloRequest {
        protocol: proto::PROTOCOL,
        control_plane_version: env!("CARGO_PKG_VERSION").to_owned(),
        control_plane_boot_id: hub.boot_id.clone(),
    };
    match timeout(STEP_TIMEOUT, session.hello(request)).await {
        Ok(Ok(reply)) => Some(reply.into_inner()),
        Ok(Err(status)) => {
            tracing::debug!(%status, "a connection does not say who it is");
            None
        }
        Err(_) => {
            tracing::debug!("a connection did not say who it is in time");
            None
        }
    }
}

async fn judge(hub: &AgentHub, hello: &HelloReply) -> Verdict {
    if !(proto::OLDEST_PROTOCOL..=proto::PROTOCOL).contains(&hello.protocol) {
        let message = format!(
            "this control plane speaks protocols {} to {}",
            proto::OLDEST_PROTOCOL,
            proto::PROTOCOL
        );
        return Verdict::Refused { reason: Refusal::Protocol, message };
    }
    match hub.identity.judge(hello).await {
        Ok(verdict) => verdict,
        Err(error) => {
            tracing::error!(%error, "an agent's credential can't be checked");
            let message = "the control plane can't check credentials now".to_owned();
            Verdict::Refused { reason: Refusal::Busy, message }
        }
    }
}

async fn refuse(session: &mut SessionClient<Channel>, reason: Refusal, message: String) {
    let retry_after_ms = if reason == Refusal::Busy { RETRY_AFTER_MS } else { 0 };
    let refused = Refused { reason: reason.into(), message, retry_after_ms };
    let admit = AdmitRequest { verdict: Some(Says::Refused(refused)) };
    // Whether the agent hears it changes nothing here.
    drop(timeout(STEP_TIMEOUT, session.admit(admit)).await);
}
