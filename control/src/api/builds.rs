//! Builds and their logs.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{State as Extract, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
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
    page::{Items, PageQuery},
    problem::{ApiError, Result},
    sse,
};
use crate::{
    app::builds::BuildUpdate,
    domain::{
        build::{Build, BuildState, ImageRef},
        ids::{BuildId, Login, TemplateId},
    },
    store::BuildLogLine,
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(build_template))
        .routes(routes!(list_builds))
        .routes(routes!(get_build))
        .routes(routes!(cancel_build))
        .routes(routes!(get_build_log))
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// Builds everything anew.
    #[serde(default)]
    pub no_cache: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BuildView {
    pub id: BuildId,
    pub template: TemplateId,
    pub template_version: u32,
    pub state: BuildState,
    pub image: Option<ImageRef>,
    pub failure: Option<String>,
    pub no_cache: bool,
    pub requested_by: Login,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

impl From<Build> for BuildView {
    fn from(build: Build) -> Self {
        Self {
            id: build.id,
            template: build.template,
            template_version: build.template_version,
            state: build.state,
            image: build.image,
            failure: build.failure,
            no_cache: build.no_cache,
            requested_by: build.requested_by,
            created_at: build.created_at,
            started_at: build.started_at,
            ended_at: build.ended_at,
        }
    }
}

/// One line of a build's log; event `line`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BuildLine {
    pub seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub node: String,
    /// `build`, `stdout` or `stderr`.
    pub stream: String,
    pub text: String,
}

impl From<BuildLogLine> for BuildLine {
    fn from(line: BuildLogLine) -> Self {
        Self { seq: line.seq, at: line.at, node: line.node, stream: line.stream, text: line.text }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OfTemplate {
    /// Id of a template.
    template: Option<String>,
}

/// Where a log is read from.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Number of the last line that the client has.
    after: Option<u64>,
    /// For plain text: stay until the build has ended.
    #[serde(default)]
    follow: bool,
}

/// Queues a build of the newest version.
#[utoipa::path(post, path = "/templates/{id}/builds", operation_id = "buildTemplate", tag = "builds", params(("id" = String, Path)),
    request_body(content = Option<BuildRequest>), responses((status = 202, body = BuildView)))]
async fn build_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: std::result::Result<Option<Json<BuildRequest>>, JsonRejection>,
) -> Result<(StatusCode, Json<BuildView>)> {
    let request = body?.map_or_else(BuildRequest::default, |Json(request)| request);
    let build = services.builds.request(&who, &id.parse()?, request.no_cache).await?;
    Ok((StatusCode::ACCEPTED, Json(build.into())))
}

/// Newest first.
#[utoipa::path(get, path = "/builds", operation_id = "listBuilds", tag = "builds", params(OfTemplate, PageQuery),
    responses((status = 200, body = Items<BuildView>)))]
async fn list_builds(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(of): Query<OfTemplate>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<BuildView>>> {
    let template = of.template.map(|id| id.parse()).transpose()?;
    let builds = services
        .builds
        .list(&who, template.as_ref())
        .await?
        .into_iter()
        .map(BuildView::from)
        .collect();
    Ok(Json(page.cut(builds, |build: &BuildView| build.id.to_string())))
}

#[utoipa::path(get, path = "/builds/{id}", operation_id = "getBuild", tag = "builds", params(("id" = String, Path)),
    responses((status = 200, body = BuildView), (status = 404)))]
async fn get_build(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<BuildView>> {
    Ok(Json(services.builds.get(&who, &id.parse()?).await?.into()))
}

#[utoipa::path(post, path = "/builds/{id}/cancel", operation_id = "cancelBuild", tag = "builds", params(("id" = String, Path)),
    responses((status = 202, body = BuildView)))]
async fn cancel_build(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<BuildView>)> {
    Ok((StatusCode::ACCEPTED, Json(services.builds.cancel(&who, &id.parse()?).await?.into())))
}

/// The log as server-sent events (`line`, then `end`), or as plain text where that is accepted.
#[utoipa::path(get, path = "/builds/{id}/log", operation_id = "getBuildLog", tag = "builds", params(("id" = String, Path), LogQuery),
    responses((status = 200, body = BuildLine, content_type = "text/event-stream")))]
async fn get_build_log(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let build = services.builds.get(&who, &id.parse()?).await?;
    let after = sse::after(&headers, query.after);
    let updates = services.builds.follow(build.id.clone(), after);
    let accepts =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/plain") {
        let present = if query.follow { u64::MAX } else { last_line(&services, &build.id).await? };
        let ends = services.shutdown.clone().cancelled_owned();
        return Ok(plain(updates.take_until(ends), present));
    }
    let events = updates.map(|update| match update.map_err(ApiError::from)? {
        BuildUpdate::Line(line) => Ok(sse::event("line", Some(line.seq), &BuildLine::from(line))),
        BuildUpdate::End(build) => Ok(sse::event("end", None, &BuildView::from(build))),
    });
    Ok(sse::answer(&services, events).into_response())
}

async fn last_line(services: &State, id: &BuildId) -> Result<u64> {
    let mut last = 0;
    loop {
        let lines =
            services.store.build_log(id, last, 1000).await.map_err(crate::app::AppError::from)?;
        match lines.last() {
            Some(line) => last = line.seq,
            None => return Ok(last),
        }
    }
}

/// Lines as text, until the last that was there.
fn plain(
    updates: impl futures_util::Stream<Item = std::result::Result<BuildUpdate, crate::app::AppError>>
    + Send
    + 'static,
    last: u64,
) -> Response {
    let text = async_stream::stream! {
        let mut updates = std::pin::pin!(updates);
        if last == 0 {
            return;
        }
        while let Some(Ok(BuildUpdate::Line(line))) = updates.next().await {
            yield Ok::<_, std::convert::Infallible>(Bytes::from(line.text + "\n"));
            if line.seq >= last {
                return;
            }
        }
    };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(text)).into_response()
}
