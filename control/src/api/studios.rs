//! Studios: made, listed, started, stopped.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    http::StatusCode,
    response::IntoResponse,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::{Items, PageQuery},
    problem::Result,
    sse,
    studio_view::{StudioView, show},
};
use crate::{
    app::studios::StudioRight,
    domain::{
        ids::{Login, TemplateId},
        studio::Studio,
        task::Task,
    },
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_project_studios, create_studio))
        .routes(routes!(list_studios))
        .routes(routes!(get_studio, change_studio, delete_studio))
        .routes(routes!(start_studio))
        .routes(routes!(stop_studio))
        .routes(routes!(restart_studio))
        .routes(routes!(studio_events))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStudio {
    pub name: String,
    pub template: TemplateId,
}

/// What is to change; what is left out stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StudioChangeBody {
    pub name: Option<String>,
    /// Hands the studio over, while it is stopped.
    pub owner: Option<Login>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Key of a project.
    project: Option<String>,
    /// Login of an owner.
    owner: Option<String>,
}

async fn views(services: &State, studios: Vec<(Studio, StudioRight)>) -> Result<Vec<StudioView>> {
    let mut views = Vec::with_capacity(studios.len());
    for (studio, right) in studios {
        views.push(show(services, studio, right).await?);
    }
    Ok(views)
}

/// A project's studios that the caller may see.
#[utoipa::path(get, path = "/projects/{key}/studios", operation_id = "listProjectStudios", tag = "studios",
    params(("key" = String, Path), PageQuery), responses((status = 200, body = Items<StudioView>)))]
async fn list_project_studios(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<StudioView>>> {
    let key = key.parse()?;
    services.projects.get(&who, &key, crate::domain::permission::Right::Read).await?;
    let studios = services.studios.list(&who, Some(&key), None).await?;
    Ok(Json(page.cut(views(&services, studios).await?, |studio| studio.id.to_string())))
}

#[utoipa::path(post, path = "/projects/{key}/studios", operation_id = "createStudio", tag = "studios", params(("key" = String, Path)),
    request_body = NewStudio, responses((status = 201, body = StudioView), (status = 403), (status = 409)))]
async fn create_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
    body: std::result::Result<Json<NewStudio>, JsonRejection>,
) -> Result<(StatusCode, Json<StudioView>)> {
    let Json(body) = body?;
    let studio = services.studios.create(&who, &key.parse()?, &body.name, &body.template).await?;
    Ok((StatusCode::CREATED, Json(show(&services, studio, StudioRight::Use).await?)))
}

/// All studios that the caller may see.
#[utoipa::path(get, path = "/studios", operation_id = "listStudios", tag = "studios", params(Filter, PageQuery),
    responses((status = 200, body = Items<StudioView>)))]
async fn list_studios(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<StudioView>>> {
    let project = filter.project.map(|key| key.parse()).transpose()?;
    let owner = filter.owner.map(|login| login.parse()).transpose()?;
    let studios = services.studios.list(&who, project.as_ref(), owner.as_ref()).await?;
    Ok(Json(page.cut(views(&services, studios).await?, |studio| studio.id.to_string())))
}

#[utoipa::path(get, path = "/studios/{id}", operation_id = "getStudio", tag = "studios", params(("id" = String, Path)),
    responses((status = 200, body = StudioView), (status = 404)))]
async fn get_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<StudioView>> {
    let studio = services.studios.get(&who, &id.parse()?, StudioRight::See).await?;
    let right = services.studios.right_of(&who, &studio).await?.unwrap_or(StudioRight::See);
    Ok(Json(show(&services, studio, right).await?))
}

/// Renames a studio or hands it over.
#[utoipa::path(patch, path = "/studios/{id}", operation_id = "changeStudio", tag = "studios", params(("id" = String, Path)),
    request_body = StudioChangeBody, responses((status = 200, body = StudioView), (status = 409)))]
async fn change_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: std::result::Result<Json<StudioChangeBody>, JsonRejection>,
) -> Result<Json<StudioView>> {
    let Json(StudioChangeBody { name, owner }) = body?;
    let studio = services.studios.change(&who, &id.parse()?, name, owner).await?;
    let right = services.studios.right_of(&who, &studio).await?.unwrap_or(StudioRight::See);
    Ok(Json(show(&services, studio, right).await?))
}

#[utoipa::path(delete, path = "/studios/{id}", operation_id = "deleteStudio", tag = "studios", params(("id" = String, Path)),
    responses((status = 204), (status = 409)))]
async fn delete_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    services.studios.delete(&who, &id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Wants the studio running; the answer is the task that starts it.
#[utoipa::path(post, path = "/studios/{id}/start", operation_id = "startStudio", tag = "studios", params(("id" = String, Path)),
    responses((status = 202, body = Task), (status = 409)))]
async fn start_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Task>)> {
    Ok((StatusCode::ACCEPTED, Json(services.studios.start(&who, &id.parse()?).await?)))
}

/// Wants the studio stopped; its files are brought back.
#[utoipa::path(post, path = "/studios/{id}/stop", operation_id = "stopStudio", tag = "studios", params(("id" = String, Path)),
    responses((status = 202, body = Task)))]
async fn stop_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Task>)> {
    Ok((StatusCode::ACCEPTED, Json(services.studios.stop(&who, &id.parse()?).await?)))
}

/// Stops a running studio and starts it again, with the newest image; the answer is the task of the new start.
#[utoipa::path(post, path = "/studios/{id}/restart", operation_id = "restartStudio", tag = "studios", params(("id" = String, Path)),
    responses((status = 202, body = Task), (status = 409)))]
async fn restart_studio(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Task>)> {
    Ok((StatusCode::ACCEPTED, Json(services.studios.restart(&who, &id.parse()?).await?)))
}

/// The studio as an event `studio`, now and after every change.
#[utoipa::path(get, path = "/studios/{id}/events", operation_id = "studioEvents", tag = "studios", params(("id" = String, Path)),
    responses((status = 200, body = StudioView, content_type = "text/event-stream"), (status = 404)))]
async fn studio_events(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse> {
    let id: crate::domain::ids::StudioId = id.parse()?;
    let changes = services.studios.changes();
    services.studios.get(&who, &id, StudioRight::See).await?;
    let begin = (State::clone(&services), who, id, changes, true);
    let events = stream::unfold(begin, |(services, who, id, mut changes, first)| async move {
        if !first {
            loop {
                match changes.recv().await {
                    Ok(changed) if changed != id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                }
            }
        }
        let shown = async {
            let studio = services.studios.get(&who, &id, StudioRight::See).await?;
            let right = services.studios.right_of(&who, &studio).await?;
            show(&services, studio, right.unwrap_or(StudioRight::See)).await
        };
        let event = shown.await.map(|studio| sse::event("studio", None, &studio));
        Some((event, (services, who, id, changes, false)))
    });
    // An error, such as that it was deleted, is told and ends the stream.
    Ok(sse::answer(&services, events))
}
