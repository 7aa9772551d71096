//! REST under `/api/v1`, one file a resource, and its OpenAPI document.
//!
//! Handlers translate: from requests to calls of `app`, from what it answers to JSON. Nothing is decided here.

pub mod api_keys;
pub mod attach;
pub mod audit;
pub mod auth;
pub mod blocks;
pub mod builds;
mod caller;
pub mod container_files;
mod extract;
pub mod health;
mod idempotency;
pub mod logs;
mod metrics;
pub mod mounts;
pub mod page;
pub mod problem;
pub mod projects;
mod range;
pub mod sessions;
mod sse;
pub mod studio_view;
pub mod studios;
pub mod sync;
pub mod tasks;
pub mod templates;
pub mod ui;
pub mod users;
pub mod zones;

use std::sync::Arc;

use axum::{Json, Router, extract::DefaultBodyLimit, routing::get};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::services::Services;

/// Largest body of a JSON request.
const JSON_LIMIT_BYTES: usize = 4 << 20;

/// What handlers get.
pub type State = Arc<Services>;

#[derive(OpenApi)]
#[openapi(
    info(title = "Atelier", description = "Personal coding environments for data teams.", license(name = "Apache-2.0")),
    servers((url = "/api/v1")),
    components(schemas(problem::ProblemDetails, crate::domain::sync::SyncResult, crate::domain::mounts::SyncProgress)),
)]
struct Document;

fn resources() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(auth::routes())
        .merge(users::routes())
        .merge(api_keys::routes())
        .merge(projects::routes())
        .merge(blocks::routes())
        .merge(templates::routes())
        .merge(builds::routes())
        .merge(studios::routes())
        .merge(sync::routes())
        .merge(mounts::routes())
        .merge(sessions::routes())
        .merge(attach::routes())
        .merge(logs::routes())
        .merge(container_files::routes())
        .merge(audit::routes())
        .merge(zones::routes())
        .merge(tasks::routes())
        .merge(health::routes())
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    resources().split_for_parts().1
}

/// Everything of the main origin but the web pages.
pub fn router(services: State) -> Router {
    let (api, document) = resources().split_for_parts();
    let api = api
        .fallback(problem::no_such_operation)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(JSON_LIMIT_BYTES));
    let replays = Arc::new(idempotency::Replays::new(Arc::clone(&services)));
    let api = api.layer(axum::middleware::from_fn_with_state(replays, idempotency::replay));
    Router::new()
        .route("/api/openapi.json", get(move || async move { Json(document) }))
        .route("/login/link/{token}", get(auth::use_link))
        .route("/metrics", get(metrics::get_metrics))
        .nest("/api/v1", api)
        .with_state(services)
}

#[cfg(test)]
mod tests;
