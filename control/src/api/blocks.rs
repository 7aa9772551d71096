//! Kinds of blocks, with the schemas that forms and validation share.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{State, caller::Caller, page::Items};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list_blocks))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlockView {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub description: String,
    /// JSON Schema of its parameters.
    pub schema: serde_json::Value,
    /// Parameters to begin with.
    pub example: serde_json::Value,
}

/// Every kind of block.
#[utoipa::path(get, path = "/blocks", operation_id = "listBlocks", tag = "templates", responses((status = 200, body = Items<BlockView>)))]
async fn list_blocks(_caller: Caller) -> Json<Items<BlockView>> {
    let kinds = images::blocks::catalogue().iter().map(|kind| BlockView {
        kind: kind.type_name.to_owned(),
        title: kind.title.to_owned(),
        description: kind.description.to_owned(),
        schema: (kind.schema)().to_value(),
        example: (kind.example)(),
    });
    Json(Items { items: kinds.collect(), next: None })
}
