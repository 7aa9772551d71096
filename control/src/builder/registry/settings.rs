//! What an administrator says about registries.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Settings of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Registries (`host:port`) that are spoken to without TLS. No other is, whatever it answers.
    pub plain_http: BTreeSet<String>,
    /// Certificates in PEM that are believed beside the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Docker's `config.json`, with credentials or the names of programs that have them. Read at each use, since logging in
    /// changes it.
    pub docker_config: Option<PathBuf>,
    /// Environment of those programs, which have nothing else: `PATH`, `HOME`.
    pub helper_env: BTreeMap<String, String>,
}

impl RegistrySettings {
    /// How this host is spoken to.
    pub(super) fn scheme(&self, host: &str) -> &'static str {
        if self.plain_http.contains(host) { "http" } else { "https" }
    }
}
