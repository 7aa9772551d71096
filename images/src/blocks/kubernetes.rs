//! `kubernetes`: probes, more ports, and parts of the pod's own description. Other runtimes take the ports alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{LaunchSpec, Readiness},
};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Ports that have a URL of their own beside those of entrypoints.
    #[serde(default)]
    exposed_ports: Vec<u16>,
    /// The pod is ready when the first exposed port takes connections.
    #[serde(default)]
    tcp_probe: bool,
    /// The pod, and the first exposed entrypoint, are ready when this path of its port answers without an error; may contain
    /// `${baseUrl}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_probe_url: Option<String>,
    /// Parts of a pod (`metadata`, `spec`), laid over the studio's by strategic merge; its container is named `studio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Map<String, Value>>,
}

/// The studio's container in its pod.
const CONTAINER: &str = "studio";
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
        match (&self.http_probe_url, self.tcp_probe) {
            (Some(_), true) => {
                at.problem("tcp_probe", "a pod has one probe: leave this or http_probe_url out");
            }
            (Some(url), false) => at.pod_probe = Some(check::probe_url(at, "http_probe_url", url)),
            (None, true) => at.pod_probe = Some(Readiness::Tcp),
            (None, false) => (),
        }
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        let ports = self.exposed_ports.iter().map(|port| ("port", port.to_string()));
        ports.chain([("type", "kubernetes".into())]).collect()
    }
}

/// Puts a probe on the first exposed port, beside what the template says about the pod; false: nothing is exposed.
pub(crate) fn put_probe(launch: &mut LaunchSpec, probe: &Readiness) -> bool {
    let exposed = launch.entrypoints.iter_mut().find_map(|entrypoint| match entrypoint.port {
        Some(port) if entrypoint.exposed => Some((entrypoint, port)),
        _ => None,
    });
    let Some((entrypoint, port)) = exposed else { return false };
    let described = match probe {
        Readiness::Started => return true,
        Readiness::Tcp => json!({"tcpSocket": {"port": port}}),
        Readiness::Http(url) => {
            entrypoint.readiness = probe.clone();
            // Which path that is, the start of the studio knows.
            let base = format!("${{DKU_CODE_STUDIO_BROWSER_PATH_{port}}}");
            json!({"httpGet": {"port": port, "path": url.replace("${baseUrl}", &base)}})
        }
    };
    let mut root = match launch.pod.take() {
        Value::Object(root) => root,
        _ => Map::new(),
    };
    let spec = root.entry("spec").or_insert_with(|| json!({}));
    if let Value::Object(spec) = spec {
        let containers = spec.entry("containers").or_insert_with(|| json!([]));
        if let Value::Array(containers) = containers {
            let own = containers.iter_mut().find(|container| container["name"] == CONTAINER);
            match own {
                Some(Value::Object(own)) => {
                    own.entry("readinessProbe").or_insert(described);
                }
                _ => containers.push(json!({"name": CONTAINER, "readinessProbe": described})),
            }
        }
    }
    launch.pod = Value::Object(root);
    true
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

    fn probed(parameters: serde_json::Value) -> Result<crate::launch::LaunchSpec, String> {
        let mut block = parameters;
        block["type"] = "kubernetes".into();
        let spec = json!({"label": "T", "blocks": [
            block,
            {"type": "entrypoint", "command": "a", "port": 9000},
            {"type": "entrypoint", "command": "b", "port": 9001, "expose": true, "label": "B"},
        ]});
        let spec: TemplateSpec = serde_json::from_value(spec).unwrap();
        let context =
            CompileContext { base: "b".into(), platform: "p".into(), build_env: [].into() };
        let compiled = compile(&spec, &Resources::default(), &context);
        compiled.map(|compiled| compiled.launch).map_err(|problems| format!("{problems:?}"))
    }

    #[test]
    fn the_first_exposed_port_is_probed_beside_what_is_said_of_the_pod() {
        let tcp = probed(json!({"tcp_probe": true})).unwrap();
        let container = &tcp.pod["spec"]["containers"][0];
        assert_eq!(
            *container,
            json!({"name": "studio", "readinessProbe": {"tcpSocket": {"port": 9001}}})
        );
        let own = json!({"spec": {"containers": [{"name": "studio", "tty": true}]}});
        let http = probed(json!({"http_probe_url": "${baseUrl}/ok", "pod": own})).unwrap();
        let container = &http.pod["spec"]["containers"][0];
        assert_eq!(container["tty"], true);
        let path = &container["readinessProbe"]["httpGet"]["path"];
        assert_eq!(*path, "${DKU_CODE_STUDIO_BROWSER_PATH_9001}/ok");
        assert_eq!(
            http.entrypoints[1].readiness,
            crate::launch::Readiness::Http("${baseUrl}/ok".into())
        );
        assert!(probed(json!({"http_probe_url": "/", "tcp_probe": true})).is_err());
    }
}
