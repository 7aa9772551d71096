//! Strategic merge of pod descriptions, as `kubectl patch` does it: maps by key, lists of named things by their name, other
//! lists as a whole.
//! (<https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md>)

use serde_json::{Map, Value};

/// Lists of a pod's description whose elements have an identity, and the field that is it.
/// (`patchMergeKey` in <https://github.com/kubernetes/api/blob/v0.34.4/core/v1/types.go>)
const KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
];
const DIRECTIVE: &str = "$patch";

/// Puts `patch` over `base`.
pub(super) fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => merge_maps(base, patch),
        (base, patch) => *base = patch.clone(),
    }
}

fn merge_maps(base: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if patch.get(DIRECTIVE).is_some_and(|directive| directive == "replace") {
        base.clear();
    }
    for (name, value) in patch {
        let key = KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (value, key) {
            _ if name == DIRECTIVE => (),
            (Value::Null, _) => {
                base.remove(name);
            }
            (Value::Array(added), Some(key)) => {
                let list = base.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                match list {
                    Value::Array(list) => merge_lists(list, added, key),
                    other => *other = value.clone(),
                }
            }
            (Value::Object(_), _) => {
                let inner = base.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                merge(inner, value);
            }
            (value, _) => {
                base.insert(name.clone(), value.clone());
            }
        }
    }
}

fn merge_lists(list: &mut Vec<Value>, added: &[Value], key: &str) {
    let replaces = |element: &Value| {
        element.get(DIRECTIVE).is_some_and(|directive| directive == "replace")
            && element.get(key).is_none()
    };
    if added.iter().any(replaces) {
        list.clear();
    }
    for element in added.iter().filter(|element| !replaces(element)) {
        let identity = element.get(key);
        let place = list.iter().position(|known| identity.is_some() && known.get(key) == identity);
        let deletes = element.get(DIRECTIVE).is_some_and(|directive| directive == "delete");
        match (place, deletes) {
            (Some(place), true) => {
                list.remove(place);
            }
            (Some(place), false) => merge(&mut list[place], element),
            (None, true) => (),
            (None, false) => {
                let mut fresh = Value::Object(Map::new());
                merge(&mut fresh, element);
                list.push(fresh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut base: Value, patch: &Value) -> Value {
        merge(&mut base, patch);
        base
    }

    #[test]
    fn a_container_is_found_by_its_name_and_its_variables_by_theirs() {
        let base = json!({"spec": {"containers": [
            {"name": "studio", "image": "i", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}});
        let patch = json!({"spec": {"containers": [
            {"name": "studio", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
            {"name": "helper", "image": "h"}]}});
        assert_eq!(
            merged(base, &patch),
            json!({"spec": {"containers": [
                {"name": "studio", "image": "i", "env": [
                    {"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
                {"name": "helper", "image": "h"}]}})
        );
    }

    #[test]
    fn other_lists_are_replaced_and_null_removes() {
        let base = json!({"tolerations": [{"key": "a"}], "nodeSelector": {"x": "1", "y": "2"}});
        let patch = json!({"tolerations": [{"key": "b"}], "nodeSelector": {"x": null}});
        let expected = json!({"tolerations": [{"key": "b"}], "nodeSelector": {"y": "2"}});
        assert_eq!(merged(base, &patch), expected);
    }

    #[test]
    fn directives_delete_and_replace() {
        let base = json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}],
                          "securityContext": {"fsGroup": 1000, "runAsUser": 1000}});
        let patch = json!({"volumes": [{"name": "a", "$patch": "delete"}, {"name": "gone", "$patch": "delete"}],
                           "securityContext": {"$patch": "replace", "runAsUser": 7}});
        let expected = json!({"volumes": [{"name": "b", "emptyDir": {}}], "securityContext": {"runAsUser": 7}});
        assert_eq!(merged(base, &patch), expected);
        let base = json!({"env": [{"name": "A"}]});
        let patch = json!({"env": [{"$patch": "replace"}, {"name": "B", "value": "1"}]});
        assert_eq!(merged(base, &patch), json!({"env": [{"name": "B", "value": "1"}]}));
    }
}
