//! Projects.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::{Items, PageQuery},
    problem::Result,
};
use crate::{
    app::projects::ProjectChange,
    domain::{
        ids::ProjectKey,
        permission::{Principal, Right},
        project::{Grant, Project},
    },
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list_projects, create_project)).routes(routes!(
        get_project,
        change_project,
        delete_project
    ))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    pub key: ProjectKey,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub permissions: Vec<Grant>,
}

/// What is to change; what is left out stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChangeBody {
    pub name: Option<String>,
    pub description: Option<String>,
    pub permissions: Option<Vec<Grant>>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectView {
    pub key: ProjectKey,
    pub name: String,
    pub description: String,
    pub permissions: Vec<Grant>,
    pub my_right: Option<Right>,
}

fn view(project: Project, who: &Principal) -> ProjectView {
    let my_right = project.right_of(who);
    let Project { key, name, description, permissions } = project;
    ProjectView { key, name, description, permissions, my_right }
}

/// Projects that the caller may read.
#[utoipa::path(get, path = "/projects", operation_id = "listProjects", tag = "projects", params(PageQuery),
    responses((status = 200, body = Items<ProjectView>)))]
async fn list_projects(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<ProjectView>>> {
    let projects = services
        .projects
        .list(&who)
        .await?
        .into_iter()
        .map(|project| view(project, &who))
        .collect();
    Ok(Json(page.cut(projects, |project: &ProjectView| project.key.to_string())))
}

#[utoipa::path(post, path = "/projects", operation_id = "createProject", tag = "projects", request_body = NewProject,
    responses((status = 201, body = ProjectView), (status = 409), (status = 422)))]
async fn create_project(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<NewProject>, JsonRejection>,
) -> Result<(StatusCode, Json<ProjectView>)> {
    let Json(NewProject { key, name, description, permissions }) = body?;
    let project =
        services.projects.create(&who, Project { key, name, description, permissions }).await?;
    Ok((StatusCode::CREATED, Json(view(project, &who))))
}

#[utoipa::path(get, path = "/projects/{key}", operation_id = "getProject", tag = "projects", params(("key" = String, Path)),
    responses((status = 200, body = ProjectView), (status = 404)))]
async fn get_project(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
) -> Result<Json<ProjectView>> {
    let project = services.projects.get(&who, &key.parse()?, Right::Read).await?;
    Ok(Json(view(project, &who)))
}

#[utoipa::path(patch, path = "/projects/{key}", operation_id = "changeProject", tag = "projects", params(("key" = String, Path)),
    request_body = ProjectChangeBody, responses((status = 200, body = ProjectView), (status = 403)))]
async fn change_project(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
    body: std::result::Result<Json<ProjectChangeBody>, JsonRejection>,
) -> Result<Json<ProjectView>> {
    let Json(ProjectChangeBody { name, description, permissions }) = body?;
    let change = ProjectChange { name, description, permissions };
    Ok(Json(view(services.projects.change(&who, &key.parse()?, change).await?, &who)))
}

#[utoipa::path(delete, path = "/projects/{key}", operation_id = "deleteProject", tag = "projects", params(("key" = String, Path)),
    responses((status = 204), (status = 409)))]
async fn delete_project(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(key): Path<String>,
) -> Result<StatusCode> {
    services.projects.delete(&who, &key.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
