//! Files of a running studio's container, by its own paths.

use axum::{
    Json,
    body::Body,
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64;
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
    app::AppError,
    domain::session::{ContainerFile, FileKind},
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_container_files))
        .routes(routes!(read_container_file, write_container_file))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Place {
    /// Absolute, or relative to the workspace.
    #[serde(default)]
    path: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Paging {
    /// Most items of the answer; 1,000 by default.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContainerFileView {
    /// For people: bytes that are no text are replaced.
    pub name: String,
    pub name_base64: String,
    pub kind: FileKind,
    pub size: u64,
    pub mode: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub modified_at: OffsetDateTime,
    /// Of a symbolic link.
    pub link_target: Option<String>,
}

fn view(file: &ContainerFile) -> ContainerFileView {
    let target = String::from_utf8_lossy(&file.link_target).into_owned();
    ContainerFileView {
        name: String::from_utf8_lossy(&file.name).into_owned(),
        name_base64: BASE64.encode(&file.name),
        kind: file.kind,
        size: file.size,
        mode: file.mode,
        modified_at: file.modified_at,
        link_target: Some(target).filter(|target| !target.is_empty()),
    }
}

#[utoipa::path(get, path = "/studios/{id}/files", operation_id = "listContainerFiles", tag = "container files",
    params(("id" = String, Path), Place, Paging), responses((status = 200, body = Items<ContainerFileView>), (status = 404)))]
async fn list_container_files(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    Query(paging): Query<Paging>,
) -> Result<Json<Items<ContainerFileView>>> {
    let after = paging.after.unwrap_or_default();
    let after = BASE64
        .decode(after.as_bytes())
        .map_err(|_| AppError::invalid("after", "next of the page before"))?;
    let limit = paging.limit.unwrap_or(1000).clamp(1, 1000);
    let (files, more) = services
        .running
        .list_files(&who, &id.parse()?, place.path.as_bytes(), &after, limit)
        .await?;
    let next = files.last().filter(|_| more).map(|last| BASE64.encode(&last.name));
    Ok(Json(Items { items: files.iter().map(view).collect(), next }))
}

/// A file's bytes, or one range of them.
#[utoipa::path(get, path = "/studios/{id}/files/content", operation_id = "readContainerFile", tag = "container files",
    params(("id" = String, Path), Place),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206), (status = 404), (status = 416)))]
async fn read_container_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Result<Response> {
    let (id, path) = (id.parse()?, place.path.as_bytes());
    let file = services.running.stat_file(&who, &id, path).await?;
    if file.kind != FileKind::File {
        return Err(AppError::invalid("path", "it is no file").into());
    }
    let part = match range::wanted(&headers, file.size) {
        Wanted::Whole => None,
        Wanted::Nothing => return Ok(range::unsatisfiable(file.size)),
        Wanted::Part(part) => Some(part),
    };
    let (from, length) = part.map_or((0, None), |part| (part.from, Some(part.length)));
    let content = services.running.read_file(&who, &id, path, from, length).await?;
    let mut response = Body::from_stream(content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(match part {
        Some(part) => range::partial(response, part, file.size),
        None => response,
    })
}

/// Writes a file as a whole.
#[utoipa::path(put, path = "/studios/{id}/files/content", operation_id = "writeContainerFile", tag = "container files",
    params(("id" = String, Path), Place), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = ContainerFileView), (status = 404)))]
async fn write_container_file(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    body: Body,
) -> Result<Json<ContainerFileView>> {
    let content = body
        .into_data_stream()
        .map(|piece| piece.map_err(|error| AppError::invalid("content", error.to_string())))
        .boxed();
    let path = place.path.as_bytes();
    let file = services.running.write_file(&who, &id.parse()?, path, content).await?;
    Ok(Json(view(&file)))
}
