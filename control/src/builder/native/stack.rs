//! An image in the making: what lies on the base so far.

use serde_json::Value;

use super::{base::Base, cache::NodeRecord};
use crate::builder::layer::Layer;

#[derive(Debug, Clone)]
pub(super) struct Stack {
    /// With the names of the nodes that made them.
    pub(super) layers: Vec<(String, Layer)>,
    /// The config to go on from: the base's, or what a Dockerfile made of it.
    pub(super) config: Value,
    /// Whether it is no longer the base's.
    pub(super) config_changed: bool,
}

impl Stack {
    pub(super) fn on(base: &Base) -> Self {
        Self { layers: Vec::new(), config: base.config.clone(), config_changed: false }
    }

    pub(super) fn add(&mut self, name: &str, record: NodeRecord) {
        self.layers.extend(record.layers.into_iter().map(|layer| (name.to_owned(), layer)));
        if let Some(config) = record.config {
            self.config = config;
            self.config_changed = true;
        }
    }
}
