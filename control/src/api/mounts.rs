//! Mounts of a studio: how they are set, whether changes are seen, what goes on, what was done.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::Path,
    page::Items,
    problem::{ApiError, Result},
    sse,
};
use crate::domain::mounts::{MountSettings, MountState};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_mounts))
        .routes(routes!(set_mount))
        .routes(routes!(follow_mounts))
}

/// What is left out stays as it is.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MountBody {
    /// Synchronise within a second of a change.
    pub live: Option<bool>,
    /// Merge what both sides changed in a text, where that is clean.
    pub merge: Option<bool>,
}

/// Of the studio's present incarnation, or its last one; none before its first start.
#[utoipa::path(get, path = "/studios/{id}/mounts", operation_id = "listMounts", tag = "sync", params(("id" = String, Path)),
    responses((status = 200, body = Items<MountState>), (status = 404)))]
async fn list_mounts(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<Items<MountState>>> {
    let items = services.sync.mounts(&who, &id.parse()?).await?;
    Ok(Json(Items { items, next: None }))
}

/// Sets a mount from now on, also while it is used; it stays so over restarts.
#[utoipa::path(patch, path = "/studios/{id}/mounts/{mount}", operation_id = "setMount", tag = "sync",
    params(("id" = String, Path), ("mount" = String, Path)), request_body = MountBody,
    responses((status = 200, body = MountState), (status = 404), (status = 409), (status = 422)))]
async fn set_mount(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, mount)): Path<(String, String)>,
    body: std::result::Result<Json<MountBody>, JsonRejection>,
) -> Result<Json<MountState>> {
    let Json(MountBody { live, merge }) = body?;
    let wanted = MountSettings { live, merge };
    Ok(Json(services.sync.set_mount(&who, &id.parse()?, &mount, wanted).await?))
}

/// The same list in `mounts` events, at once and whenever something changed: while files move, four times a second.
#[utoipa::path(get, path = "/studios/{id}/mounts/events", operation_id = "followMounts", tag = "sync", params(("id" = String, Path)),
    responses((status = 200, body = Items<MountState>, content_type = "text/event-stream")))]
async fn follow_mounts(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Response> {
    let states = services.sync.follow_mounts(&who, &id.parse()?).await?;
    let events = states.map(|items| {
        let items = items.map_err(ApiError::from)?;
        Ok(sse::event("mounts", None, &Items { items, next: None }))
    });
    Ok(sse::answer(&services, events).into_response())
}
