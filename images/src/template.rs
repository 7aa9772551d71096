//! A template as an administrator writes it.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocks::Block;

/// An ordered list of blocks with general settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSpec {
    /// Name for people, unique.
    pub label: String,
    #[serde(default)]
    pub description: String,
    /// One character, or the name of an icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Who may use it; nobody named: everybody.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    #[serde(default)]
    pub blocks: Vec<Block>,
}

/// Files that belong to a template, by relative path.
pub type Resources = BTreeMap<String, Arc<[u8]>>;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Place of the block, from 0.
    pub block: Option<usize>,
    /// Path of the field within the block, such as `mounts[0].target`.
    pub field: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// Most blocks of a template.
const BLOCKS_LIMIT: usize = 100;

/// Reads a template, and says for each block that can't be read what is wrong with it.
pub fn parse(value: &serde_json::Value) -> Result<TemplateSpec, Vec<Problem>> {
    let mut problems = Vec::new();
    if let Some(blocks) = value.get("blocks").and_then(serde_json::Value::as_array) {
        if blocks.len() > BLOCKS_LIMIT {
            let reason = format!("at most {BLOCKS_LIMIT} blocks");
            return Err(vec![Problem { block: None, field: "blocks".into(), reason }]);
        }
        for (place, block) in blocks.iter().enumerate() {
            if let Err(error) = Block::deserialize(block) {
                problems.push(Problem {
                    block: Some(place),
                    field: field_of(&error),
                    reason: error.to_string(),
                });
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    TemplateSpec::deserialize(value).map_err(|error| {
        vec![Problem { block: None, field: field_of(&error), reason: error.to_string() }]
    })
}

/// The name between backquotes in serde's words, which is the field that it speaks of.
fn field_of(error: &serde_json::Error) -> String {
    error.to_string().split('`').nth(1).unwrap_or_default().to_owned()
}
