//! Templates, their versions, resources and zip files.

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, State as Extract, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    builds::BuildView,
    caller::Caller,
    extract::{Path, Query},
    page::{Items, PageQuery},
    problem::{ApiError, Result},
};
use crate::{
    app::{
        AppError,
        error::Problem,
        templates::{Resources, WholeTemplate, problems},
    },
    domain::ids::{GroupName, Login, TemplateId},
};

/// Largest zip file or resource.
const UPLOAD_LIMIT_BYTES: usize = 64 << 20;

pub(super) fn routes() -> OpenApiRouter<State> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(import_template))
        .routes(routes!(get_resource, put_resource, delete_resource))
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT_BYTES));
    OpenApiRouter::new()
        .routes(routes!(list_templates, create_template))
        .routes(routes!(validate_template))
        .routes(routes!(apply_template))
        .routes(routes!(get_template, save_template, delete_template))
        .routes(routes!(list_template_versions))
        .routes(routes!(export_template))
        .routes(routes!(list_resources))
        .merge(uploads)
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateBody {
    /// The template: label, description, icon, allowed groups, blocks.
    #[schema(value_type = Object)]
    pub spec: serde_json::Value,
    /// The version that was edited; another one in between is refused.
    #[serde(default)]
    pub expected_version: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TemplateView {
    pub id: TemplateId,
    pub version: u32,
    pub label: String,
    pub description: String,
    pub icon: Option<String>,
    #[schema(value_type = Object)]
    pub spec: serde_json::Value,
    pub allowed_groups: Vec<GroupName>,
    pub latest_build: Option<BuildView>,
    /// Whether studios can be started.
    pub image_ready: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TemplateVersionView {
    pub version: u32,
    #[schema(value_type = Object)]
    pub spec: serde_json::Value,
    pub saved_by: Login,
    #[serde(with = "time::serde::rfc3339")]
    pub saved_at: OffsetDateTime,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Verdict {
    /// Empty: it may be saved.
    pub problems: Vec<Problem>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourceView {
    pub path: String,
    pub size: u64,
}

async fn view(services: &State, whole: WholeTemplate) -> Result<TemplateView> {
    let store = &services.store;
    let latest =
        store.builds(Some(&whole.head.id), 1).await.map_err(AppError::from)?.into_iter().next();
    let image_ready = store.good_build(&whole.head.id).await.map_err(AppError::from)?.is_some();
    let text = |field: &str| {
        whole.version.spec.get(field).and_then(serde_json::Value::as_str).map(ToOwned::to_owned)
    };
    Ok(TemplateView {
        description: text("description").unwrap_or_default(),
        icon: text("icon"),
        id: whole.head.id,
        version: whole.head.version,
        label: whole.head.label,
        spec: whole.version.spec,
        allowed_groups: whole.head.allowed_groups,
        latest_build: latest.map(BuildView::from),
        image_ready,
        updated_at: whole.head.updated_at,
    })
}

/// Templates that the caller may use.
#[utoipa::path(get, path = "/templates", operation_id = "listTemplates", tag = "templates", params(PageQuery),
    responses((status = 200, body = Items<TemplateView>)))]
async fn list_templates(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<TemplateView>>> {
    let mut views = Vec::new();
    for head in services.templates.list(&who).await? {
        let whole = services.templates.get(&who, &head.id).await?;
        views.push(view(&services, whole).await?);
    }
    Ok(Json(page.cut(views, |template| template.id.to_string())))
}

#[utoipa::path(post, path = "/templates", operation_id = "createTemplate", tag = "templates", request_body = TemplateBody,
    responses((status = 201, body = TemplateView), (status = 409), (status = 422)))]
async fn create_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<TemplateBody>, JsonRejection>,
) -> Result<(StatusCode, Json<TemplateView>)> {
    let Json(body) = body?;
    let whole = services.templates.create(&who, body.spec).await?;
    Ok((StatusCode::CREATED, Json(view(&services, whole).await?)))
}

/// Says what is wrong with a template, without keeping it.
#[utoipa::path(post, path = "/templates/validate", operation_id = "validateTemplate", tag = "templates", request_body = TemplateBody,
    responses((status = 200, body = Verdict)))]
async fn validate_template(
    _caller: Caller,
    body: std::result::Result<Json<TemplateBody>, JsonRejection>,
) -> Result<Json<Verdict>> {
    let Json(body) = body?;
    Ok(Json(Verdict { problems: problems(&body.spec, &Resources::new()) }))
}

/// Creates the template, or saves a further version of the one with the same label. YAML or JSON.
#[utoipa::path(post, path = "/templates/apply", operation_id = "applyTemplate", tag = "templates",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = TemplateView), (status = 422)))]
async fn apply_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: Bytes,
) -> Result<Json<TemplateView>> {
    let text = std::str::from_utf8(&body)
        .map_err(|_| ApiError::bad_request("the template is not UTF-8"))?;
    let spec = serde_norway::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("the template is not YAML: {error}")))?;
    let whole = services.templates.apply(&who, spec).await?;
    Ok(Json(view(&services, whole).await?))
}

#[utoipa::path(get, path = "/templates/{id}", operation_id = "getTemplate", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = TemplateView), (status = 404)))]
async fn get_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<TemplateView>> {
    let whole = services.templates.get(&who, &id.parse()?).await?;
    Ok(Json(view(&services, whole).await?))
}

/// Makes a new version.
#[utoipa::path(put, path = "/templates/{id}", operation_id = "saveTemplate", tag = "templates", params(("id" = String, Path)),
    request_body = TemplateBody, responses((status = 200, body = TemplateView), (status = 412), (status = 422)))]
async fn save_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: std::result::Result<Json<TemplateBody>, JsonRejection>,
) -> Result<Json<TemplateView>> {
    let Json(body) = body?;
    let whole =
        services.templates.save(&who, &id.parse()?, body.spec, body.expected_version).await?;
    Ok(Json(view(&services, whole).await?))
}

#[utoipa::path(delete, path = "/templates/{id}", operation_id = "deleteTemplate", tag = "templates", params(("id" = String, Path)),
    responses((status = 204), (status = 409)))]
async fn delete_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    services.templates.delete(&who, &id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Newest first.
#[utoipa::path(get, path = "/templates/{id}/versions", operation_id = "listTemplateVersions", tag = "templates",
    params(("id" = String, Path), PageQuery), responses((status = 200, body = Items<TemplateVersionView>)))]
async fn list_template_versions(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<TemplateVersionView>>> {
    let versions =
        services.templates.versions(&who, &id.parse()?).await?.into_iter().map(|version| {
            TemplateVersionView {
                version: version.version,
                spec: version.spec,
                saved_by: version.saved_by,
                saved_at: version.saved_at,
            }
        });
    Ok(Json(
        page.cut(versions.collect(), |version: &TemplateVersionView| version.version.to_string()),
    ))
}

/// The newest version with its resources, as a zip file.
#[utoipa::path(get, path = "/templates/{id}/export", operation_id = "exportTemplate", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/zip")))]
async fn export_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Response> {
    let id: TemplateId = id.parse()?;
    let zip = services.templates.export(&who, &id).await?;
    let name = format!("attachment; filename=\"template-{id}.zip\"");
    Ok((
        [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, name)],
        zip,
    )
        .into_response())
}

/// A new template out of an exported zip file.
#[utoipa::path(post, path = "/templates/import", operation_id = "importTemplate", tag = "templates",
    request_body(content = Vec<u8>, content_type = "application/zip"),
    responses((status = 201, body = TemplateView), (status = 422)))]
async fn import_template(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: Bytes,
) -> Result<(StatusCode, Json<TemplateView>)> {
    let whole = services.templates.import(&who, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(view(&services, whole).await?)))
}

#[utoipa::path(get, path = "/templates/{id}/resources", operation_id = "listResources", tag = "templates",
    params(("id" = String, Path), PageQuery), responses((status = 200, body = Items<ResourceView>)))]
async fn list_resources(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<ResourceView>>> {
    let resources = services.templates.resources(&who, &id.parse()?).await?;
    let views = resources
        .into_iter()
        .map(|(path, size)| ResourceView { path, size: size as u64 })
        .collect();
    Ok(Json(page.cut(views, |resource: &ResourceView| resource.path.clone())))
}

#[utoipa::path(get, path = "/templates/{id}/resources/{*path}", operation_id = "getResource", tag = "templates",
    params(("id" = String, Path), ("path" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404)))]
async fn get_resource(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response> {
    let bytes = services.templates.resource(&who, &id.parse()?, &path).await?;
    let mut headers = HeaderMap::new();
    headers
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    // What administrators upload is never shown as a page of ours.
    headers.insert(header::CONTENT_DISPOSITION, header::HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    Ok((headers, bytes.to_vec()).into_response())
}

#[utoipa::path(put, path = "/templates/{id}/resources/{*path}", operation_id = "putResource", tag = "templates",
    params(("id" = String, Path), ("path" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = TemplateView), (status = 422)))]
async fn put_resource(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, path)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<TemplateView>> {
    let whole =
        services.templates.put_resource(&who, &id.parse()?, &path, Some(body.to_vec())).await?;
    Ok(Json(view(&services, whole).await?))
}

#[utoipa::path(delete, path = "/templates/{id}/resources/{*path}", operation_id = "deleteResource", tag = "templates",
    params(("id" = String, Path), ("path" = String, Path)), responses((status = 200, body = TemplateView), (status = 404)))]
async fn delete_resource(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path((id, path)): Path<(String, String)>,
) -> Result<Json<TemplateView>> {
    let whole = services.templates.put_resource(&who, &id.parse()?, &path, None).await?;
    Ok(Json(view(&services, whole).await?))
}
