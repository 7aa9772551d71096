//! Entrypoints: what they print, and whether they run.

use axum::{
    body::Body,
    extract::State as Extract,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    problem::Result,
    sessions::GapEvent,
    sse,
};
use crate::{
    app::AppError,
    domain::session::{Channel, EntrypointVerb, LogPiece, LogQuery},
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(read_log)).routes(routes!(control_entrypoint))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LogParams {
    /// Stay for what comes.
    #[serde(default)]
    follow: bool,
    /// Only what was written since then (RFC 3339).
    since: Option<String>,
    /// Only the last lines.
    tail: Option<u32>,
    /// Offset to go on from.
    after: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ChunkEvent<'a> {
    offset: u64,
    channel: Channel,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// How often the entrypoint had been restarted when it wrote this.
    restart: u32,
    /// Base64.
    data: &'a str,
}

/// An entrypoint's log: as text, or as events `chunk` and `gap` for `Accept: text/event-stream`. When the pod is gone, what was
/// kept of it.
#[utoipa::path(get, path = "/studios/{id}/logs/{entrypoint}", operation_id = "readLog", tag = "logs",
    params(("id" = String, Path), ("entrypoint" = String, Path), LogParams),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404)))]
async fn read_log(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, entrypoint)): Path<(String, String)>,
    Query(params): Query<LogParams>,
    headers: HeaderMap,
) -> Result<Response> {
    let since = params.since.map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose();
    let since =
        since.map_err(|_| AppError::invalid("since", "a time such as 2026-01-31T12:00:00Z"))?;
    let query = LogQuery {
        follow: params.follow,
        since,
        tail: params.tail,
        from: sse::after(&headers, params.after),
    };
    let pieces = services.running.log(&who, &id.parse()?, &entrypoint, &query).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/event-stream")) {
        let events = pieces.map(|piece| {
            Ok(match piece? {
                LogPiece::Chunk { offset, channel, at, restart, data } => {
                    let text = BASE64.encode(&data);
                    let event = ChunkEvent { offset, channel, at, restart, data: &text };
                    sse::event("chunk", Some(offset + data.len() as u64), &event)
                }
                LogPiece::Gap { from, to } => sse::event("gap", Some(to), &GapEvent { from, to }),
            })
        });
        return Ok(sse::answer(&services, events).into_response());
    }
    let text = pieces.map(|piece| {
        piece.map(|piece| match piece {
            LogPiece::Chunk { data, .. } => data,
            LogPiece::Gap { from, to } => {
                format!("\n[{} bytes are missing here]\n", to.saturating_sub(from)).into()
            }
        })
    });
    let kind = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    // One that is followed has no other end while the studio runs.
    let text = text.take_until(services.shutdown.clone().cancelled_owned());
    Ok((kind, Body::from_stream(text)).into_response())
}

/// Restarts, stops or starts an entrypoint (`verb`).
#[utoipa::path(post, path = "/studios/{id}/entrypoints/{entrypoint}/{verb}", operation_id = "controlEntrypoint", tag = "logs",
    params(("id" = String, Path), ("entrypoint" = String, Path), ("verb" = String, Path)),
    responses((status = 204), (status = 404)))]
async fn control_entrypoint(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, entrypoint, verb)): Path<(String, String, String)>,
) -> Result<StatusCode> {
    let verb = match verb.as_str() {
        "restart" => EntrypointVerb::Restart,
        "stop" => EntrypointVerb::Stop,
        "start" => EntrypointVerb::Start,
        _ => return Err(AppError::invalid("verb", "restart, stop or start").into()),
    };
    services.running.control_entrypoint(&who, &id.parse()?, &entrypoint, verb).await?;
    Ok(StatusCode::NO_CONTENT)
}
