//! `kubernetes`: probes, more ports, and parts of the pod's own description. Other runtimes take the ports alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::compose::Composition;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Ports that have a URL of their own beside those of entrypoints.
    #[serde(default)]
    exposed_ports: Vec<u16>,
}

impl BlockRules for Kubernetes {
    fn apply(&self, at: &mut Composition<'_>) {
        for (place, port) in self.exposed_ports.iter().enumerate() {
            check::port(at, &format!("exposed_ports[{place}]"), *port);
        }
        at.launch.more_ports.extend(&self.exposed_ports);
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        let ports = self.exposed_ports.iter().map(|port| ("port", port.to_string()));
        ports.chain([("type", "kubernetes".into())]).collect()
    }
}
