//! A session over a WebSocket: a terminal's wire.
//!
//! Server → client: binary, one byte of channel (1 standard output, 2 standard error, 3 terminal) and then data; text, JSON with
//! `type` `gap` or, always last, `exit`. Client → server: binary, input; text, JSON with `type` `resize` or `end`.

use std::time::Duration;

use axum::{
    extract::{
        State as Extract, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::Response,
};
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitStream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::{Caller, check_origin},
    extract::{Path, Query},
    problem::Result,
};
use crate::{
    app::agent_calls::{Input, Pieces},
    domain::{
        ids::StudioId,
        permission::Principal,
        session::{Channel, Exit, Output, TerminalSize},
    },
};

/// A quiet connection is kept open through proxies by this.
const PING: Duration = Duration::from_secs(30);
/// Pieces of input that wait for a slow process.
const WAITING: usize = 16;
/// Largest message of a client.
const MESSAGE_BYTES: usize = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(attach_session))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// Offset in the session's output.
    from: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToClient {
    Gap { from: u64, to: u64 },
    Exit(Exit),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    Resize { columns: u16, rows: u16 },
    End,
}

/// Joins a session over a WebSocket: output from an offset on, input and size of the terminal.
#[utoipa::path(get, path = "/studios/{id}/sessions/{sid}/attach", operation_id = "attachSession", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path), From), responses((status = 101), (status = 404)))]
async fn attach_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
    Query(query): Query<From>,
    headers: HeaderMap,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    // Any page can open a WebSocket with a browser's cookie: only ours may.
    if !headers.contains_key(header::AUTHORIZATION) {
        check_origin(&headers)?;
    }
    let upgrade = upgrade?;
    let id: StudioId = id.parse()?;
    let output = services.running.attach(&who, &id, &sid, query.from.unwrap_or(0)).await?;
    let under_way = services.tracker.token();
    Ok(upgrade.max_message_size(MESSAGE_BYTES).on_upgrade(move |socket| async move {
        talk(services, who, id, sid, output, socket).await;
        drop(under_way);
    }))
}

async fn talk(
    services: State,
    who: Principal,
    id: StudioId,
    sid: String,
    mut output: Pieces<Output>,
    socket: WebSocket,
) {
    let (mut out, incoming) = socket.split();
    let (send, input) = mpsc::channel(WAITING);
    let hear = hear(&services, &who, &id, &sid, incoming, send);
    let feed = services.running.input(&who, &id, &sid, input);
    let tell = async {
        let mut ping = tokio::time::interval(PING);
        loop {
            let message = tokio::select! {
                piece = output.next() => match piece {
                    Some(Ok(piece)) => message(&piece),
                    Some(Err(error)) => break Some(error.to_string()),
                    None => break None,
                },
                _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
            };
            if out.send(message).await.is_err() {
                break None;
            }
        }
    };
    let ended = services.shutdown.run_until_cancelled(first_end(tell, hear, feed)).await;
    let (code, reason) = match ended {
        Some(None) => (close_code::NORMAL, String::new()),
        // A close frame has room for 123 bytes.
        Some(Some(why)) => (close_code::ERROR, why.chars().take(30).collect()),
        None => (close_code::AWAY, "the server ends".to_owned()),
    };
    // It may be gone already.
    drop(out.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await);
}

/// Until there is no more output, with the reason where it broke off, or until the client is gone: the session goes on then.
async fn first_end(
    tell: impl Future<Output = Option<String>>,
    hear: impl Future<Output = ()>,
    feed: impl Future,
) -> Option<String> {
    let (tell, hear) = (std::pin::pin!(tell), std::pin::pin!(hear));
    // A process that takes no more input may still write.
    let feed = async {
        feed.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        why = tell => why,
        () = hear => None,
        () = feed => None,
    }
}

/// Until the client ends.
async fn hear(
    services: &State,
    who: &Principal,
    id: &StudioId,
    sid: &str,
    mut incoming: SplitStream<WebSocket>,
    send: mpsc::Sender<Input>,
) {
    while let Some(Ok(message)) = incoming.next().await {
        match message {
            // A process that takes no more input is no reason to end.
            Message::Binary(data) => drop(send.send(Input { data, end: false }).await),
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(FromClient::Resize { columns, rows }) => {
                    let size = TerminalSize { columns, rows };
                    if let Err(error) = services.running.resize(who, id, sid, size).await {
                        tracing::debug!(%error, "a terminal can't be resized");
                    }
                }
                Ok(FromClient::End) => {
                    drop(send.send(Input { data: bytes::Bytes::new(), end: true }).await);
                }
                // Of a newer client.
                Err(_) => {}
            },
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

fn message(piece: &Output) -> Message {
    let told = match piece {
        Output::Data { channel, data, .. } => {
            let channel = match channel {
                Channel::Stdout => 1,
                Channel::Stderr => 2,
                Channel::Pty => 3,
            };
            let mut bytes = Vec::with_capacity(1 + data.len());
            bytes.push(channel);
            bytes.extend_from_slice(data);
            return Message::Binary(bytes.into());
        }
        Output::Gap { from, to } => ToClient::Gap { from: *from, to: *to },
        Output::Exit(exit) => ToClient::Exit(exit.clone()),
    };
    let text = serde_json::to_string(&told).unwrap_or_default();
    Message::Text(text.into())
}
