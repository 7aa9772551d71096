//! Zones: their files, history and trash.

use axum::{
    Json,
    body::Body,
    extract::{DefaultBodyLimit, State as Extract, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::Items,
    problem::Result,
    range::{self, Wanted},
};
use crate::{
    app::zones::ZoneService,
    domain::{
        session::FileKind,
        zone::ZoneRef,
        zone_files::{CommitInfo, TrashItem, ZonePath},
    },
    zones::NewContent,
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_project_zones))
        .routes(routes!(list_my_zones))
        .routes(routes!(list_studio_zones))
        .routes(routes!(list_zone_files))
        .routes(routes!(read_zone_file, write_zone_file, delete_zone_file))
        .routes(routes!(create_zone_folder))
        .routes(routes!(zone_history))
        .routes(routes!(zone_commit))
        .routes(routes!(zone_content_at))
        .routes(routes!(restore_zone_file))
        .routes(routes!(list_zone_trash))
        .routes(routes!(list_zone_trash_item))
        .routes(routes!(restore_zone_trash))
        // Contents stream; their size is the disk's business.
        .layer(DefaultBodyLimit::disable())
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneView {
    /// Such as `project:DEMO:notebooks`.
    pub zone: String,
    pub kind: String,
    pub versioned: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneFileView {
    pub name: String,
    pub path: String,
    pub kind: FileKind,
    pub size: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub modified_at: OffsetDateTime,
    pub executable: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommitView {
    pub commit: String,
    pub author: String,
    pub studio: Option<String>,
    pub message: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub files: usize,
    /// Only where one commit was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<CommitChange>>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommitChange {
    pub path: String,
    /// `created`, `modified` or `deleted`.
    pub change: String,
    /// Unified; absent where a side is no text, or is too large.
    pub diff: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneChanged {
    /// BLAKE3 of the new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub commit: Option<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreBody {
    pub path: String,
    pub commit: String,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrashView {
    pub id: String,
    pub path: String,
    /// What is in a folder is listed, and restored, by itself too.
    pub kind: FileKind,
    /// Of a folder: of all that is in it.
    pub size: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub deleted_at: OffsetDateTime,
    pub reason: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PathQuery {
    /// Relative to the zone.
    #[serde(default)]
    path: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    #[serde(default)]
    path: String,
    limit: Option<usize>,
    after: Option<String>,
}

fn path(text: &str) -> Result<ZonePath> {
    Ok(ZonePath::try_from(text.as_bytes())?)
}

fn zone_items(zones: Vec<ZoneRef>) -> Json<Items<ZoneView>> {
    let items = zones
        .into_iter()
        .map(|zone| ZoneView {
            kind: zone.kind().name().to_owned(),
            versioned: zone.kind().versioned(),
            zone: zone.to_string(),
        })
        .collect();
    Json(Items { items, next: None })
}

fn commit_view(info: CommitInfo, changes: Option<Vec<CommitChange>>) -> CommitView {
    CommitView {
        commit: info.id,
        author: info.author,
        studio: info.studio,
        message: info.message,
        at: info.at,
        files: info.files,
        changes,
    }
}

/// The version of `If-Match`, without its quotes.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    (value != "*").then(|| value.trim_matches('"').to_owned())
}

fn bytes_response(body: Body, length: u64, etag: &str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Whatever it is, it is no page of ours.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        headers.insert(header::ETAG, etag);
    }
    response
}

#[utoipa::path(get, path = "/projects/{key}/zones", operation_id = "listProjectZones", tag = "zones",
    params(("key" = String, Path)), responses((status = 200, body = Items<ZoneView>)))]
async fn list_project_zones(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
) -> Result<Json<Items<ZoneView>>> {
    Ok(zone_items(services.zones.of_project(&who, &key.parse()?).await?))
}

#[utoipa::path(get, path = "/users/me/zones", operation_id = "listMyZones", tag = "zones",
    responses((status = 200, body = Items<ZoneView>)))]
async fn list_my_zones(Caller(who): Caller) -> Json<Items<ZoneView>> {
    zone_items(ZoneService::of_user(&who))
}

#[utoipa::path(get, path = "/studios/{id}/zones", operation_id = "listStudioZones", tag = "zones",
    params(("id" = String, Path)), responses((status = 200, body = Items<ZoneView>)))]
async fn list_studio_zones(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<Items<ZoneView>>> {
    Ok(zone_items(services.zones.of_studio(&who, &id.parse()?).await?))
}

#[utoipa::path(get, path = "/zones/{zone}/files", operation_id = "listZoneFiles", tag = "zones",
    params(("zone" = String, Path), PathQuery), responses((status = 200, body = Items<ZoneFileView>), (status = 404)))]
async fn list_zone_files(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<PathQuery>,
) -> Result<Json<Items<ZoneFileView>>> {
    let files = services.zones.list(&who, &zone.parse()?, &path(&query.path)?).await?;
    let items = files.into_iter().map(|file| ZoneFileView {
        name: file
            .path
            .split()
            .map(|(_, name)| String::from_utf8_lossy(name).into_owned())
            .unwrap_or_default(),
        path: file.path.to_string(),
        kind: file.kind,
        size: file.size,
        modified_at: file.modified_at,
        executable: file.executable,
    });
    Ok(Json(Items { items: items.collect(), next: None }))
}

#[utoipa::path(get, path = "/zones/{zone}/content", operation_id = "readZoneFile", tag = "zones",
    params(("zone" = String, Path), PathQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206), (status = 404), (status = 416)))]
async fn read_zone_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<PathQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let (zone, path) = (zone.parse()?, path(&query.path)?);
    let content = services.zones.read(&who, &zone, &path, None).await?;
    let size = content.file.size;
    let part = match range::wanted(&headers, size) {
        Wanted::Whole => {
            return Ok(bytes_response(Body::from_stream(content.bytes), size, &content.etag));
        }
        Wanted::Nothing => return Ok(range::unsatisfiable(size)),
        Wanted::Part(part) => part,
    };
    let content = services.zones.read(&who, &zone, &path, Some(part)).await?;
    let body = Body::from_stream(content.bytes);
    Ok(range::partial(bytes_response(body, part.length, &content.etag), part, size))
}

/// Writes a file as a whole; `If-Match` with the version that was seen, `If-None-Match: *` for a new one only.
#[utoipa::path(put, path = "/zones/{zone}/content", operation_id = "writeZoneFile", tag = "zones",
    params(("zone" = String, Path), PathQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = ZoneChanged), (status = 409), (status = 412)))]
async fn write_zone_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<PathQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ZoneChanged>> {
    let content = NewContent {
        bytes: body
            .into_data_stream()
            .map(|piece| piece.map_err(|error| error.to_string()))
            .boxed(),
        executable: None,
        if_match: if_match(&headers),
        only_new: headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*"),
    };
    let written = services.zones.write(&who, &zone.parse()?, &path(&query.path)?, content).await?;
    let (commit, warnings) = written.commit.map(|commit| (commit.id, commit.warnings)).unzip();
    Ok(Json(ZoneChanged {
        etag: Some(written.etag),
        path: None,
        commit,
        warnings: warnings.unwrap_or_default(),
    }))
}

#[utoipa::path(delete, path = "/zones/{zone}/content", operation_id = "deleteZoneFile", tag = "zones",
    params(("zone" = String, Path), PathQuery), responses((status = 204), (status = 404), (status = 412)))]
async fn delete_zone_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<PathQuery>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let seen = if_match(&headers);
    services.zones.delete(&who, &zone.parse()?, &path(&query.path)?, seen.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/zones/{zone}/folders", operation_id = "createZoneFolder", tag = "zones",
    params(("zone" = String, Path), PathQuery), responses((status = 201), (status = 409)))]
async fn create_zone_folder(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<PathQuery>,
) -> Result<StatusCode> {
    services.zones.create_folder(&who, &zone.parse()?, &path(&query.path)?).await?;
    Ok(StatusCode::CREATED)
}

#[utoipa::path(get, path = "/zones/{zone}/history", operation_id = "zoneHistory", tag = "zones",
    params(("zone" = String, Path), HistoryQuery), responses((status = 200, body = Items<CommitView>), (status = 409)))]
async fn zone_history(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Items<CommitView>>> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    let (zone, path) = (zone.parse()?, path(&query.path)?);
    let after = query.after.as_deref();
    let commits = services.zones.history(&who, &zone, &path, limit, after).await?;
    let next =
        if commits.len() == limit { commits.last().map(|commit| commit.id.clone()) } else { None };
    let items = commits.into_iter().map(|info| commit_view(info, None)).collect();
    Ok(Json(Items { items, next }))
}

#[utoipa::path(get, path = "/zones/{zone}/history/{commit}", operation_id = "zoneCommit", tag = "zones",
    params(("zone" = String, Path), ("commit" = String, Path)), responses((status = 200, body = CommitView), (status = 404)))]
async fn zone_commit(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((zone, commit)): Path<(String, String)>,
) -> Result<Json<CommitView>> {
    let (info, changes) = services.zones.commit_changes(&who, &zone.parse()?, &commit).await?;
    let changes = changes.into_iter().map(|change| CommitChange {
        path: change.path.to_string(),
        change: change.kind.name().to_owned(),
        diff: change.diff,
    });
    Ok(Json(commit_view(info, Some(changes.collect()))))
}

#[utoipa::path(get, path = "/zones/{zone}/history/{commit}/content", operation_id = "zoneContentAt", tag = "zones",
    params(("zone" = String, Path), ("commit" = String, Path), PathQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 404)))]
async fn zone_content_at(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((zone, commit)): Path<(String, String)>,
    Query(query): Query<PathQuery>,
) -> Result<Response> {
    let path = path(&query.path)?;
    let content = services.zones.content_at(&who, &zone.parse()?, &commit, &path).await?;
    let etag = blake3::hash(&content).to_hex();
    let length = content.len() as u64;
    Ok(bytes_response(Body::from(content), length, &etag))
}

/// Brings a file or folder back as it was; a new commit.
#[utoipa::path(post, path = "/zones/{zone}/restore", operation_id = "restoreZoneFile", tag = "zones",
    params(("zone" = String, Path)), request_body = RestoreBody, responses((status = 200, body = ZoneChanged), (status = 404)))]
async fn restore_zone_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
    body: std::result::Result<Json<RestoreBody>, JsonRejection>,
) -> Result<Json<ZoneChanged>> {
    let Json(body) = body?;
    let at = path(&body.path)?;
    let commit = services.zones.restore(&who, &zone.parse()?, &at, &body.commit).await?;
    let (commit, warnings) = commit.map(|commit| (commit.id, commit.warnings)).unzip();
    let warnings = warnings.unwrap_or_default();
    Ok(Json(ZoneChanged { etag: None, path: Some(body.path), commit, warnings }))
}

#[utoipa::path(get, path = "/zones/{zone}/trash", operation_id = "listZoneTrash", tag = "zones",
    params(("zone" = String, Path)), responses((status = 200, body = Items<TrashView>)))]
async fn list_zone_trash(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(zone): Path<String>,
) -> Result<Json<Items<TrashView>>> {
    Ok(trash_items(services.zones.trash(&who, &zone.parse()?).await?))
}

fn trash_items(items: Vec<TrashItem>) -> Json<Items<TrashView>> {
    let items = items.into_iter().map(|item| TrashView {
        id: item.id,
        path: item.path.to_string(),
        kind: item.kind,
        size: item.size,
        deleted_at: item.deleted_at,
        reason: item.reason,
    });
    Json(Items { items: items.collect(), next: None })
}

/// What is in an item that is a folder.
#[utoipa::path(get, path = "/zones/{zone}/trash/{id}", operation_id = "listZoneTrashItem", tag = "zones",
    params(("zone" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Items<TrashView>), (status = 400), (status = 404)))]
async fn list_zone_trash_item(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((zone, id)): Path<(String, String)>,
) -> Result<Json<Items<TrashView>>> {
    Ok(trash_items(services.zones.trash_in(&who, &zone.parse()?, &id).await?))
}

#[utoipa::path(post, path = "/zones/{zone}/trash/{id}/restore", operation_id = "restoreZoneTrash", tag = "zones",
    params(("zone" = String, Path), ("id" = String, Path)), responses((status = 200, body = ZoneChanged), (status = 404), (status = 409)))]
async fn restore_zone_trash(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((zone, id)): Path<(String, String)>,
) -> Result<Json<ZoneChanged>> {
    let path = services.zones.restore_trash(&who, &zone.parse()?, &id).await?;
    let path = Some(path.to_string());
    Ok(Json(ZoneChanged { etag: None, path, commit: None, warnings: Vec::new() }))
}
