//! Names, labels and annotations of everything that is made.

use serde_json::{Map, Value, json};

use crate::{domain::ids::StudioId, runtime::PodSpec};

/// Owner of the fields that we apply.
pub(super) const FIELD_MANAGER: &str = "atelier";
/// Of the pod's only container.
pub(super) const CONTAINER: &str = "studio";

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const INSTALLATION: &str = "atelier.dev/installation";
pub(super) const STUDIO: &str = "atelier.dev/studio";
/// Of a pod: its incarnation.
pub(super) const EPOCH: &str = "atelier.dev/epoch";
/// Of a Deployment: the pod that became the studio, once it ran. A pod that takes its place is not the studio.
pub(super) const PLACEMENT: &str = "atelier.dev/placement";

/// Of a pod: digest of what its agent was told.
pub(super) const AGENT: &str = "atelier.dev/agent";

const PROJECT: &str = "atelier.dev/project";
const OWNER: &str = "atelier.dev/owner";

/// Of every object of a studio.
pub(super) fn object(studio: &StudioId) -> String {
    format!("studio-{studio}")
}

/// All objects of an installation.
pub(super) fn selector(installation: &str) -> String {
    format!("{MANAGED_BY}=atelier,{INSTALLATION}={installation}")
}

/// All objects of a studio.
pub(super) fn studio_selector(installation: &str, studio: &StudioId) -> String {
    format!("{},{STUDIO}={studio}", selector(installation))
}

pub(super) fn labels(installation: &str, spec: &PodSpec) -> Value {
    let mut labels = Map::new();
    let mut set = |name: &str, value: &str| {
        labels.insert(name.to_owned(), json!(value));
    };
    set("app.kubernetes.io/name", "studio");
    set(MANAGED_BY, "atelier");
    set(INSTALLATION, installation);
    set(STUDIO, spec.studio.as_str());
    // A label takes fewer letters than a key or a login; annotations have them as they are.
    for (name, value) in [(PROJECT, spec.project.as_str()), (OWNER, spec.owner.as_str())] {
        if good_label(value) {
            set(name, value);
        }
    }
    Value::Object(labels)
}

pub(super) fn annotations(spec: &PodSpec) -> Value {
    json!({PROJECT: spec.project, OWNER: spec.owner, EPOCH: spec.epoch.to_string()})
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn good_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (1..=63).contains(&text.len())
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_can_not_say_is_no_label() {
        assert!(good_label("DEMO_1") && good_label("ann.lee"));
        for text in ["", "A_", "ann@example.org", &"a".repeat(64)] {
            assert!(!good_label(text), "{text:?}");
        }
    }
}
