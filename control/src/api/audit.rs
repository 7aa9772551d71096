//! The audit log, for administrators.

use axum::{Json, extract::State as Extract};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{State, caller::Caller, extract::Query, page::Items, problem::Result};
use crate::{domain::ids::Login, store::Page};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Paging {
    /// Most items of the answer, 1 to 1,000; 100 by default.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Who did what.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditView {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub login: Login,
    /// Such as `studio.start`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    pub detail: String,
}

/// Newest first.
#[utoipa::path(get, path = "/audit", operation_id = "listAudit", tag = "audit", params(Paging),
    responses((status = 200, body = Items<AuditView>), (status = 403)))]
async fn list_audit(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Items<AuditView>>> {
    let limit = paging.limit.unwrap_or(100).clamp(1, 1000);
    let entries = services.audit.list(&who, &Page { after: paging.after, limit }).await?;
    let next =
        entries.last().filter(|_| entries.len() == limit as usize).map(|(seq, _)| seq.to_string());
    let items = entries.into_iter().map(|(_, entry)| AuditView {
        at: entry.at,
        login: entry.login,
        action: entry.action,
        subject: entry.subject,
        detail: entry.detail,
    });
    Ok(Json(Items { items: items.collect(), next }))
}
