//! Whether a template may be kept.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    app::{AppError, error::Problem},
    domain::ids::GroupName,
};

/// Content by relative path.
pub type Resources = BTreeMap<String, Arc<[u8]>>;

/// All that is wrong with it; empty: it may be kept.
pub fn problems(spec: &Value, resources: &Resources) -> Vec<Problem> {
    match check(spec, resources) {
        Ok(_) => vec![],
        Err(AppError::Invalid { problems, .. }) => problems,
        Err(other) => {
            vec![Problem { block: None, field: String::new(), reason: other.to_string() }]
        }
    }
}

/// Checks everything; answers with what the template's head repeats.
pub(super) fn check(
    spec: &Value,
    resources: &Resources,
) -> Result<(String, Vec<GroupName>), AppError> {
    for path in resources.keys() {
        check_resource_path(path)?;
    }
    let label = spec.get("label").and_then(Value::as_str).unwrap_or_default();
    crate::app::error::check_text("label", label, 100)?;
    let groups = match spec.get("allowed_groups") {
        None | Some(Value::Null) => vec![],
        Some(groups) => serde_json::from_value(groups.clone())
            .map_err(|error| AppError::invalid("allowed_groups", error.to_string()))?,
    };
    Ok((label.to_owned(), groups))
}

/// A resource's path is relative, of plain components, and short enough for every file system.
pub(super) fn check_resource_path(path: &str) -> Result<(), AppError> {
    let component = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && part != "."
            && part != ".."
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if path.len() <= 1024 && path.split('/').all(component) {
        Ok(())
    } else {
        Err(AppError::invalid("path", format!("{path:?} is not a plain relative path")))
    }
}
