//! What an administrator says about this builder.

use std::{collections::BTreeMap, path::PathBuf};

use crate::builder::{layer::Packing, registry::Repository};

/// Settings of the driver.
#[derive(Debug, Clone)]
pub struct NativeSettings {
    /// All images and their layers go here.
    pub target: Repository,
    /// The agent's binary. `None`: the base has one.
    pub agent: Option<PathBuf>,
    pub packing: Packing,
    /// For what is remembered, and for layers in the making.
    pub folder: PathBuf,
    /// For install scripts: package mirrors, proxies, CA bundle.
    pub build_env: BTreeMap<String, String>,
}
