//! `kubernetes`: probes, more ports, and parts of the pod's own description. Other runtimes take the ports alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BlockRules, check};
use crate::compose::Composition;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Ports that have a URL of their own beside those of entrypoints.
    #[serde(default)]
    exposed_ports: Vec<u16>,
    /// Parts of a pod (`metadata`, `spec`), laid over the studio's by strategic merge; its container is named `studio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Map<String, Value>>,
}

/// What may be said of a pod.
const PARTS: [&str; 2] = ["metadata", "spec"];

impl BlockRules for Kubernetes {
    fn apply(&self, at: &mut Composition<'_>) {
        for (place, port) in self.exposed_ports.iter().enumerate() {
            check::port(at, &format!("exposed_ports[{place}]"), *port);
        }
        at.launch.more_ports.extend(&self.exposed_ports);
        if let Some(pod) = &self.pod {
            if let Some(other) = pod.keys().find(|part| !PARTS.contains(&part.as_str())) {
                at.problem("pod", format!("{other} is no part of a pod: metadata and spec are"));
            }
            at.launch.pod = Value::Object(pod.clone());
        }
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        let ports = self.exposed_ports.iter().map(|port| ("port", port.to_string()));
        ports.chain([("type", "kubernetes".into())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        compose::{CompileContext, compile},
        template::{Resources, TemplateSpec},
    };

    fn pod(pod: &serde_json::Value) -> Result<serde_json::Value, String> {
        let spec = json!({"label": "T", "blocks": [{"type": "kubernetes", "pod": pod}]});
        let spec: TemplateSpec = serde_json::from_value(spec).unwrap();
        let context =
            CompileContext { base: "b".into(), platform: "p".into(), build_env: [].into() };
        let compiled = compile(&spec, &Resources::default(), &context);
        compiled.map(|compiled| compiled.launch.pod).map_err(|problems| format!("{problems:?}"))
    }

    #[test]
    fn parts_of_a_pod_go_to_the_launch_and_nothing_else_does() {
        let parts = json!({"spec": {"priorityClassName": "high"}});
        assert_eq!(pod(&parts), Ok(parts.clone()));
        assert!(pod(&json!({"kind": "Pod"})).unwrap_err().contains("kind"));
    }
}
