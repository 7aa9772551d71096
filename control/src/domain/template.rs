//! Templates, as they are kept. What blocks mean is the `images` crate's business.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::ids::{GroupName, Login, TemplateId};

/// A template's head: its newest version and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub id: TemplateId,
    pub label: String,
    /// Number of the newest version, from 1.
    pub version: u32,
    /// Empty: everybody.
    pub allowed_groups: Vec<GroupName>,
    pub updated_at: OffsetDateTime,
}

/// One immutable version.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateVersion {
    pub template: TemplateId,
    pub version: u32,
    /// An `images` template specification, validated when it was saved.
    pub spec: serde_json::Value,
    /// Relative path → digest of the content, which lies in the blob table.
    pub resources: BTreeMap<String, String>,
    pub saved_by: Login,
    pub saved_at: OffsetDateTime,
}
