//! Whether a template may be kept.

use serde_json::Value;

use crate::{
    app::{AppError, error::Problem},
    domain::ids::GroupName,
};

pub use images::template::Resources;

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
    let parsed = images::template::parse(spec).map_err(refused)?;
    crate::app::error::check_text("label", &parsed.label, 100)?;
    crate::app::error::check_prose("description", &parsed.description, 4000)?;
    let found = images::compose::validate(&parsed, resources);
    if !found.is_empty() {
        return Err(refused(found));
    }
    let groups = parsed.allowed_groups.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok((parsed.label, groups))
}

fn refused(found: Vec<images::template::Problem>) -> AppError {
    let problems = found
        .into_iter()
        .map(|problem| Problem {
            block: problem.block,
            field: problem.field,
            reason: problem.reason,
        })
        .collect();
    AppError::Invalid { what: "the template".into(), problems }
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
