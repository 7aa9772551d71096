//! Commands, shells and runs of actions in a running studio.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{State as Extract, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use data_encoding::BASE64;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::Items,
    problem::Result,
    sse,
};
use crate::{
    app::{AppError, agent_calls::Input},
    domain::session::{Channel, Exit, Output, Session, SessionSpec, TerminalSize},
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions, start_session))
        .routes(routes!(get_session))
        .routes(routes!(session_output))
        .routes(routes!(session_input))
        .routes(routes!(resize_session))
        .routes(routes!(signal_session))
        .routes(routes!(cancel_session))
        .routes(routes!(exec))
        .routes(routes!(run_action))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// Program and arguments; empty: the interactive shell.
    #[serde(default)]
    pub command: Vec<String>,
    /// A terminal of this size; pipes when absent.
    pub terminal: Option<TerminalSize>,
    /// Standard input stays open.
    #[serde(default)]
    pub stdin: bool,
    /// The workspace when absent.
    #[serde(default)]
    pub working_folder: String,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub timeout_s: Option<u32>,
    /// The process waits for a slow reader instead of losing its oldest output.
    #[serde(default)]
    pub lossless: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecBody {
    pub command: Vec<String>,
    /// Base64.
    #[serde(default)]
    pub stdin: String,
    #[serde(default)]
    pub working_folder: String,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub timeout_s: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExecResult {
    pub exit: Exit,
    /// Base64.
    pub stdout: String,
    /// Base64.
    pub stderr: String,
    /// Always false: output that is too large is an error.
    pub truncated: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionInputs {
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActionSession {
    #[serde(flatten)]
    pub session: Session,
    /// 0: runs now; else its place in the queue.
    pub queued_behind: u32,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalBody {
    /// Its name, such as `TERM`, or its number.
    pub signal: SignalName,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum SignalName {
    Number(i32),
    Name(String),
}

#[derive(Debug, Serialize)]
struct OutputEvent<'a> {
    offset: u64,
    channel: Channel,
    /// Base64.
    data: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct GapEvent {
    pub(super) from: u64,
    pub(super) to: u64,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FromQuery {
    /// Offset in the session's output.
    from: Option<u64>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct InputQuery {
    /// Close standard input after these bytes.
    #[serde(default)]
    end: bool,
}

fn timeout(seconds: Option<u32>) -> Option<Duration> {
    seconds.filter(|&seconds| seconds > 0).map(|seconds| Duration::from_secs(u64::from(seconds)))
}

type Body<T> = std::result::Result<Json<T>, JsonRejection>;

#[utoipa::path(get, path = "/studios/{id}/sessions", operation_id = "listSessions", tag = "sessions",
    params(("id" = String, Path)), responses((status = 200, body = Items<Session>), (status = 502)))]
async fn list_sessions(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<Items<Session>>> {
    let items = services.running.sessions(&who, &id.parse()?).await?;
    Ok(Json(Items { items, next: None }))
}

#[utoipa::path(post, path = "/studios/{id}/sessions", operation_id = "startSession", tag = "sessions",
    params(("id" = String, Path)), request_body = NewSession, responses((status = 201, body = Session), (status = 502)))]
async fn start_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: Body<NewSession>,
) -> Result<(StatusCode, Json<Session>)> {
    let Json(body) = body?;
    let spec = SessionSpec {
        command: body.command,
        terminal: body.terminal,
        stdin: body.stdin,
        working_folder: body.working_folder,
        env: body.env,
        timeout: timeout(body.timeout_s),
        lossless: body.lossless,
    };
    let session = services.running.start_session(&who, &id.parse()?, &spec).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

#[utoipa::path(get, path = "/studios/{id}/sessions/{sid}", operation_id = "getSession", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path)), responses((status = 200, body = Session), (status = 404)))]
async fn get_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
) -> Result<Json<Session>> {
    Ok(Json(services.running.session(&who, &id.parse()?, &sid).await?))
}

/// Server-sent events `output`, `gap` and, always last, `exit`.
#[utoipa::path(get, path = "/studios/{id}/sessions/{sid}/output", operation_id = "sessionOutput", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path), FromQuery),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404)))]
async fn session_output(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
    Query(query): Query<FromQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let from = sse::after(&headers, query.from);
    let pieces = services.running.attach(&who, &id.parse()?, &sid, from).await?;
    Ok(sse::answer(
        &services,
        pieces.map(|piece| {
            Ok(match piece? {
                Output::Data { offset, channel, data } => {
                    let event = OutputEvent { offset, channel, data: &BASE64.encode(&data) };
                    // The id is where a client goes on.
                    sse::event("output", Some(offset + data.len() as u64), &event)
                }
                Output::Gap { from, to } => sse::event("gap", Some(to), &GapEvent { from, to }),
                Output::Exit(exit) => sse::event("exit", None, &exit),
            })
        }),
    ))
}

/// Bytes for standard input.
#[utoipa::path(post, path = "/studios/{id}/sessions/{sid}/input", operation_id = "sessionInput", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path), InputQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 204), (status = 404)))]
async fn session_input(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
    Query(query): Query<InputQuery>,
    body: Bytes,
) -> Result<StatusCode> {
    let (send, input) = mpsc::channel(1);
    // There is room for one.
    drop(send.try_send(Input { data: body, end: query.end }));
    drop(send);
    services.running.input(&who, &id.parse()?, &sid, input).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/studios/{id}/sessions/{sid}/resize", operation_id = "resizeSession", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path)), request_body = TerminalSize, responses((status = 204), (status = 404)))]
async fn resize_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
    body: Body<TerminalSize>,
) -> Result<StatusCode> {
    let Json(size) = body?;
    services.running.resize(&who, &id.parse()?, &sid, size).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/studios/{id}/sessions/{sid}/signal", operation_id = "signalSession", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path)), request_body = SignalBody, responses((status = 204), (status = 404)))]
async fn signal_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
    body: Body<SignalBody>,
) -> Result<StatusCode> {
    let Json(body) = body?;
    let signal = match body.signal {
        SignalName::Number(number) => number,
        SignalName::Name(name) => {
            let full = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
            let signal: std::result::Result<nix::sys::signal::Signal, _> = full.parse();
            signal.map_err(|_| AppError::invalid("signal", "a signal's name, such as TERM"))? as i32
        }
    };
    services.running.signal(&who, &id.parse()?, &sid, signal).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the session's whole process group: TERM, then KILL.
#[utoipa::path(post, path = "/studios/{id}/sessions/{sid}/cancel", operation_id = "cancelSession", tag = "sessions",
    params(("id" = String, Path), ("sid" = String, Path)), responses((status = 204), (status = 404)))]
async fn cancel_session(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, sid)): Path<(String, String)>,
) -> Result<StatusCode> {
    services.running.cancel(&who, &id.parse()?, &sid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a command in one round trip; at most 8 MiB of output.
#[utoipa::path(post, path = "/studios/{id}/exec", operation_id = "exec", tag = "sessions",
    params(("id" = String, Path)), request_body = ExecBody, responses((status = 200, body = ExecResult), (status = 413), (status = 502)))]
async fn exec(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: Body<ExecBody>,
) -> Result<Json<ExecResult>> {
    let Json(body) = body?;
    let stdin =
        BASE64.decode(body.stdin.as_bytes()).map_err(|_| AppError::invalid("stdin", "base64"))?;
    let spec = SessionSpec {
        command: body.command,
        working_folder: body.working_folder,
        env: body.env,
        timeout: timeout(body.timeout_s),
        ..SessionSpec::default()
    };
    let done = services.running.exec(&who, &id.parse()?, spec, stdin.into()).await?;
    Ok(Json(ExecResult {
        exit: done.exit,
        stdout: BASE64.encode(&done.stdout),
        stderr: BASE64.encode(&done.stderr),
        truncated: false,
    }))
}

#[utoipa::path(post, path = "/studios/{id}/actions/{action}/runs", operation_id = "runAction", tag = "sessions",
    params(("id" = String, Path), ("action" = String, Path)), request_body = ActionInputs,
    responses((status = 201, body = ActionSession), (status = 409, description = "It runs already")))]
async fn run_action(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, action)): Path<(String, String)>,
    body: Body<ActionInputs>,
) -> Result<(StatusCode, Json<ActionSession>)> {
    let Json(body) = body?;
    let inputs = body.inputs.into_iter().collect();
    let (session, queued_behind) =
        services.running.run_action(&who, &id.parse()?, &action, inputs).await?;
    Ok((StatusCode::CREATED, Json(ActionSession { session, queued_behind })))
}
