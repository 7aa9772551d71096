//! The image's config: the base's, with what studios need. Nothing in it changes unless something that goes in does.
//! (<https://github.com/opencontainers/image-spec/blob/main/config.md>)

use serde_json::{Map, Value, json};

use super::cache::ImageConfigRecord;
use crate::builder::{
    layer::Layer,
    places::{AGENT_PATH, STUDIO_PREFIX, USER},
};

/// No image says when it was made: the same would then be another.
const CREATED: &str = "1970-01-01T00:00:00Z";
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is put together.
pub(super) struct Parts<'a> {
    /// Of the base, or what a Dockerfile made of it.
    pub(super) from: &'a Value,
    pub(super) base_layers: &'a [Layer],
    /// Above the base, with the nodes' names.
    pub(super) layers: &'a [(String, Layer)],
    /// Absent below a node that is to be run, where nothing of a studio's is wanted yet.
    pub(super) studio: Option<&'a ImageConfigRecord>,
    /// Whether the agent is started; `None` for images that studios are not made of.
    pub(super) plan_digest: Option<&'a str>,
}

pub(super) fn composed(parts: &Parts<'_>) -> Value {
    let mut whole = parts.from.as_object().cloned().unwrap_or_default();
    whole.insert("created".into(), json!(CREATED));
    for ours in ["author", "container", "container_config", "docker_version", "id", "parent"] {
        whole.shift_remove(ours);
    }
    let ids: Vec<&str> = parts
        .base_layers
        .iter()
        .chain(parts.layers.iter().map(|(_, layer)| layer))
        .map(|layer| layer.diff_id.as_str())
        .collect();
    whole.insert("rootfs".into(), json!({"type": "layers", "diff_ids": ids}));
    let history: Vec<Value> = std::iter::repeat_n("base image", parts.base_layers.len())
        .chain(parts.layers.iter().map(|(name, _)| name.as_str()))
        .map(|name| json!({"created": CREATED, "created_by": name}))
        .collect();
    whole.insert("history".into(), Value::Array(history));
    if let Some(studio) = parts.studio {
        let mut config = whole
            .shift_remove("config")
            .and_then(|config| config.as_object().cloned())
            .unwrap_or_default();
        for_studio(&mut config, studio, parts.plan_digest);
        whole.insert("config".into(), Value::Object(config));
    }
    // Sorted, whatever order the base has them in.
    whole.sort_keys();
    Value::Object(whole)
}

fn for_studio(config: &mut Map<String, Value>, studio: &ImageConfigRecord, plan: Option<&str>) {
    config.insert("User".into(), json!(USER));
    config.insert("Entrypoint".into(), json!([format!("/{AGENT_PATH}")]));
    config.shift_remove("Cmd");
    let mut env: Vec<(String, String)> = strings(config.get("Env"))
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in &studio.env {
        let value = value.replace("${ATELIER_PREFIX}", &format!("/{STUDIO_PREFIX}"));
        set(&mut env, name, value);
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    let own = studio.path.iter().map(|folder| format!("/{STUDIO_PREFIX}/{folder}"));
    let path = own.chain([path.unwrap_or_else(|| DEFAULT_PATH.to_owned())]);
    set(&mut env, "PATH", path.collect::<Vec<_>>().join(":"));
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    config.insert("Env".into(), json!(env));
    extend(
        config,
        "ExposedPorts",
        studio.exposed_ports.iter().map(|port| (format!("{port}/tcp"), json!({}))),
    );
    let plan = plan.map(|digest| ("atelier.plan".to_owned(), json!(digest)));
    let labels = studio.labels.iter().map(|(name, value)| (name.clone(), json!(value)));
    extend(config, "Labels", labels.chain(plan));
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: String) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, present)) => *present = value,
        None => env.push((name.to_owned(), value)),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
}

/// Adds to an object of the config; one that stays empty is not written.
fn extend(
    config: &mut Map<String, Value>,
    name: &str,
    more: impl Iterator<Item = (String, Value)>,
) {
    let mut all = config.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    all.extend(more);
    all.sort_keys();
    if !all.is_empty() {
        config.insert(name.to_owned(), Value::Object(all));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Parts, composed};
    use crate::builder::{
        layer::Layer,
        native::cache::ImageConfigRecord,
        registry::{Descriptor, Digest},
    };

    fn layer(name: &str) -> Layer {
        Layer { blob: Descriptor::of("x", name.as_bytes()), diff_id: Digest::of(name.as_bytes()) }
    }

    #[test]
    fn a_studio_s_config_is_the_base_s_with_what_studios_need() {
        let from = json!({
            "os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/bin", "A=old"], "Cmd": ["sh"], "Healthcheck": {"Test": ["NONE"]}},
        });
        let studio = ImageConfigRecord {
            env: BTreeMap::from([
                ("A".to_owned(), "${ATELIER_PREFIX}/x".to_owned()),
                ("B".to_owned(), "1".to_owned()),
            ]),
            path: vec!["jupyterlab/bin".into()],
            exposed_ports: vec![8888],
            labels: BTreeMap::new(),
        };
        let parts = Parts {
            from: &from,
            base_layers: &[layer("base")],
            layers: &[("files".to_owned(), layer("one"))],
            studio: Some(&studio),
            plan_digest: Some("abc"),
        };
        insta::assert_json_snapshot!(composed(&parts));
    }
}
