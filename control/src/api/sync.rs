//! Synchronisations of a running studio, and the conflicts that they leave.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    http::StatusCode,
};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    problem::Result,
    tasks::Wait,
};
use crate::{
    app::AppError,
    domain::{
        sync::{Comparison, Decision, KeepChoice, OpenIssues, SyncDirection, SyncOrder},
        task::Task,
    },
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(synchronise))
        .routes(routes!(list_conflicts))
        .routes(routes!(compare_conflict))
}

/// A synchronisation; everything may be left out.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyncBody {
    pub direction: SyncDirection,
    /// Ids of mounts; without it: all.
    pub mounts: Option<Vec<String>>,
    pub resolutions: Vec<ResolutionBody>,
    /// Mounts whose mass deletion was meant.
    pub allow_mass_deletion: Vec<String>,
    /// Mounts whose mass deletion was not meant: the files come back, also what went little by little.
    pub undo_mass_deletion: Vec<String>,
}

/// How a conflict ends. One of `path` and `path_base64` names it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolutionBody {
    pub mount: String,
    pub path: Option<String>,
    pub path_base64: Option<String>,
    pub keep: KeepChoice,
    /// Of the conflict as it was seen: where it is another one by now, it is reported anew.
    pub token: Option<String>,
}

/// Which conflict. One of `path` and `path_base64` names it.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    mount: String,
    path: Option<String>,
    path_base64: Option<String>,
}

fn path(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => Ok(BASE64
            .decode(base64.as_bytes())
            .map_err(|error| AppError::invalid("path_base64", error.to_string()))?),
        _ => Err(AppError::invalid("path", "one of path and path_base64").into()),
    }
}

impl SyncBody {
    fn into_order(self) -> Result<SyncOrder> {
        let mut decisions = Vec::with_capacity(self.resolutions.len());
        for resolution in self.resolutions {
            decisions.push(Decision {
                mount: resolution.mount,
                path: path(resolution.path, resolution.path_base64)?,
                keep: resolution.keep,
                token: resolution.token,
            });
        }
        Ok(SyncOrder {
            direction: self.direction,
            mounts: self.mounts,
            decisions,
            allow_mass_deletion: self.allow_mass_deletion,
            undo_mass_deletion: self.undo_mass_deletion,
        })
    }
}

/// Synchronises the files of a running studio. The task's result is a `SyncResult`; with `wait`, the answer is the task as soon
/// as it has ended or the time is over.
#[utoipa::path(post, path = "/studios/{id}/sync", operation_id = "synchronise", tag = "sync", params(("id" = String, Path), Wait),
    request_body = SyncBody, responses((status = 202, body = Task), (status = 200, body = Task), (status = 409)))]
async fn synchronise(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
    body: std::result::Result<Json<SyncBody>, JsonRejection>,
) -> Result<(StatusCode, Json<Task>)> {
    let Json(body) = body?;
    let task = services.sync.order(&who, &id.parse()?, body.into_order()?).await?;
    Ok(match wait.longest() {
        Some(longest) => {
            let task = services.tasks.wait(&task.id, longest).await?;
            let status =
                if task.ended_at.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(task))
        }
        None => (StatusCode::ACCEPTED, Json(task)),
    })
}

/// Conflicts and questions that the last synchronisations left open.
#[utoipa::path(get, path = "/studios/{id}/conflicts", operation_id = "listConflicts", tag = "sync", params(("id" = String, Path)),
    responses((status = 200, body = OpenIssues)))]
async fn list_conflicts(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<OpenIssues>> {
    Ok(Json(services.sync.open_issues(&who, &id.parse()?).await?))
}

/// Both versions of a conflict, with their difference where they are text.
#[utoipa::path(get, path = "/studios/{id}/conflicts/diff", operation_id = "compareConflict", tag = "sync", params(("id" = String, Path), Which),
    responses((status = 200, body = Comparison), (status = 404), (status = 409)))]
async fn compare_conflict(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Comparison>> {
    let path = path(which.path, which.path_base64)?;
    Ok(Json(services.sync.compare(&who, &id.parse()?, &which.mount, &path).await?))
}
