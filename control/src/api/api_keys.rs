//! API keys.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::{Items, PageQuery},
    problem::Result,
};
use crate::domain::{
    ids::{ApiKeyId, Login},
    user::{ApiKey, Scope},
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_api_keys, create_api_key))
        .routes(routes!(delete_api_key))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    pub label: String,
    pub scope: Scope,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// Somebody else, such as a service account; for administrators.
    #[serde(default)]
    pub for_login: Option<Login>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKeyView {
    pub id: ApiKeyId,
    pub login: Login,
    pub label: String,
    pub scope: Scope,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The key itself; only in the answer that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

fn view(key: ApiKey, text: Option<String>) -> ApiKeyView {
    ApiKeyView {
        id: key.id,
        login: key.login,
        label: key.label,
        scope: key.scope,
        created_at: key.created_at,
        expires_at: key.expires_at,
        key: text,
    }
}

/// The caller's own keys.
#[utoipa::path(get, path = "/api-keys", operation_id = "listApiKeys", tag = "auth", params(PageQuery),
    responses((status = 200, body = Items<ApiKeyView>)))]
async fn list_api_keys(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<ApiKeyView>>> {
    let keys = services.api_keys.list(&who).await?.into_iter().map(|key| view(key, None)).collect();
    Ok(Json(page.cut(keys, |key: &ApiKeyView| key.id.to_string())))
}

/// A new key; the answer is the only place where it is shown.
#[utoipa::path(post, path = "/api-keys", operation_id = "createApiKey", tag = "auth", request_body = NewApiKey,
    responses((status = 201, body = ApiKeyView), (status = 422)))]
async fn create_api_key(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<NewApiKey>, JsonRejection>,
) -> Result<(StatusCode, Json<ApiKeyView>)> {
    let Json(body) = body?;
    let made = services
        .api_keys
        .create(&who, &body.label, body.scope, body.expires_at, body.for_login)
        .await?;
    Ok((StatusCode::CREATED, Json(view(made.0, Some(made.1)))))
}

#[utoipa::path(delete, path = "/api-keys/{id}", operation_id = "deleteApiKey", tag = "auth", params(("id" = String, Path)),
    responses((status = 204), (status = 404)))]
async fn delete_api_key(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    services.api_keys.delete(&who, &id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
