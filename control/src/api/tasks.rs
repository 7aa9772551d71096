//! Durable tasks and their events.

use std::time::Duration;

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, future::ready, stream};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    problem::{ApiError, Result},
    sse,
};
use crate::{
    app::{AppError, studios::StudioRight, tasks::TaskUpdate},
    domain::{
        permission::Principal,
        task::{Task, TaskEvent, TaskKind},
    },
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(get_task))
        .routes(routes!(get_task_events))
        .routes(routes!(cancel_task))
}

/// How long a client wants to wait for an end.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// Seconds, at most 300.
    wait: Option<u64>,
}

impl Wait {
    pub(super) fn longest(&self) -> Option<Duration> {
        self.wait.map(|seconds| Duration::from_secs(seconds.min(300)))
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// Number of the last event that the client has.
    after: Option<u64>,
}

/// The task, for those who may see what it is about.
async fn visible(services: &State, who: &Principal, id: &str) -> Result<Task> {
    let task = services.tasks.get(&id.parse()?).await?;
    if task.requested_by == who.login || who.admin {
        return Ok(task);
    }
    match task.kind {
        TaskKind::StartStudio | TaskKind::StopStudio | TaskKind::Synchronise => {
            services.studios.get(who, &task.subject.parse()?, StudioRight::See).await?;
        }
        TaskKind::Build => {
            services.builds.get(who, &task.subject.parse()?).await?;
        }
    }
    Ok(task)
}

/// A task; with `wait`, as soon as it has ended or the time is over.
#[utoipa::path(get, path = "/tasks/{id}", operation_id = "getTask", tag = "tasks", params(("id" = String, Path), Wait),
    responses((status = 200, body = Task), (status = 404)))]
async fn get_task(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
) -> Result<Json<Task>> {
    let task = visible(&services, &who, &id).await?;
    Ok(Json(match wait.longest() {
        Some(longest) => services.tasks.wait(&task.id, longest).await?,
        None => task,
    }))
}

/// A task's events (`step`, then `end`); while files are synchronised, `progress` in between, which is not kept.
#[utoipa::path(get, path = "/tasks/{id}/events", operation_id = "getTaskEvents", tag = "tasks", params(("id" = String, Path), After),
    responses((status = 200, body = TaskEvent, content_type = "text/event-stream")))]
async fn get_task_events(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Result<Response> {
    let task = visible(&services, &who, &id).await?;
    let after = sse::after(&headers, query.after);
    let updates = services.tasks.follow(task.id, after).map(|update| {
        Ok(match update.map_err(ApiError::from)? {
            TaskUpdate::Step(step) => sse::event("step", Some(step.seq), &step),
            TaskUpdate::End(task) => sse::event("end", None, &task),
        })
    });
    if task.kind != TaskKind::Synchronise {
        return Ok(sse::answer(&services, updates).into_response());
    }
    // Its progress ends with it.
    let progress = services.sync.follow_progress(&task.subject.parse()?);
    let progress = progress.map(|now| Some(Ok(sse::event("progress", None, &now))));
    let updates = updates.map(Some).chain(stream::iter([None]));
    let events = stream::select(updates, progress);
    let events = events.take_while(|event| ready(event.is_some())).filter_map(ready);
    Ok(sse::answer(&services, events).into_response())
}

/// Asks a task to stop.
#[utoipa::path(post, path = "/tasks/{id}/cancel", operation_id = "cancelTask", tag = "tasks", params(("id" = String, Path)),
    responses((status = 202, body = Task)))]
async fn cancel_task(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> std::result::Result<(StatusCode, Json<Task>), ApiError> {
    let task = visible(&services, &who, &id).await?;
    let task = services
        .tasks
        .cancel(&who, &task.id)
        .await
        .map_err(|error: AppError| ApiError::from(error))?;
    Ok((StatusCode::ACCEPTED, Json(task)))
}
