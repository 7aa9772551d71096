//! Where browsers see a studio, and what a template says with it about the pod.

use serde_json::Value;

use crate::domain::studio::Studio;

const NAME: &str = "${DKU_CODE_STUDIO_BROWSER_PATH";

/// The path that all of its ports' paths begin with.
pub(super) fn of(studio: &Studio) -> String {
    format!("/code-studios/{}/{}", studio.project, studio.id)
}

/// The same value, with the studio's path or a port's in every text that names it as a variable.
pub(super) fn filled_in(value: &Value, studio: &Studio) -> Value {
    filled(value, &of(studio))
}

fn filled(value: &Value, path: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text_with(text, path)),
        Value::Array(items) => items.iter().map(|item| filled(item, path)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), filled(field, path))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn text_with(text: &str, path: &str) -> String {
    let mut pieces = text.split(NAME);
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // The name ends here, or after `_<port>`.
        match piece.split_once('}') {
            Some(("", rest)) => whole.extend([path, rest]),
            Some((port, rest)) if port.starts_with('_') => {
                whole.extend([path, "/", port.trim_start_matches('_'), rest]);
            }
            Some(_) | None => whole.extend([NAME, piece]),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::filled;

    #[test]
    fn paths_are_filled_in_wherever_a_text_names_them() {
        let probe = json!({"a": [{"path": "${DKU_CODE_STUDIO_BROWSER_PATH_80}/ok"}, 7],
            "b": "${DKU_CODE_STUDIO_BROWSER_PATH}/x ${DKU_CODE_STUDIO_BROWSER_PATHS} ${OTHER}"});
        assert_eq!(
            filled(&probe, "/s/1"),
            json!({"a": [{"path": "/s/1/80/ok"}, 7], "b": "/s/1/x ${DKU_CODE_STUDIO_BROWSER_PATHS} ${OTHER}"})
        );
    }
}
