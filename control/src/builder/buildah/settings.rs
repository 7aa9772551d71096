//! What an administrator says about buildah, and where its things are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::builder::registry::Repository;

/// Settings of the runner.
#[derive(Debug, Clone)]
pub struct BuildahSettings {
    /// For all that buildah keeps. Containers' files are below it.
    pub folder: PathBuf,
    /// Where images of Dockerfiles are pushed.
    pub target: Repository,
    /// `overlay`, or `vfs` where that can't be mounted.
    pub storage_driver: String,
    /// Registries that are spoken to without TLS.
    pub plain_http: BTreeSet<String>,
    /// Docker's `config.json`.
    pub docker_config: Option<PathBuf>,
    /// Certificates that are believed: by buildah beside the system's, and by what it runs, which sees the file at
    /// [`CA_BUNDLE`] in the place of the image's.
    pub ca_bundle: Option<PathBuf>,
    /// For install scripts: package mirrors, proxies.
    pub build_env: BTreeMap<String, String>,
}

/// Where Debian and most others have their bundle.
pub(super) const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

impl BuildahSettings {
    pub(super) fn storage(&self) -> PathBuf {
        self.folder.join("storage")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(super) fn notes(&self) -> PathBuf {
        self.folder.join("running")
    }

    pub(super) fn pip_cache(&self) -> PathBuf {
        self.folder.join("pip-cache")
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    pub(super) fn policy(&self) -> PathBuf {
        self.folder.join("policy.json")
    }
}

#[cfg(test)]
impl BuildahSettings {
    pub(crate) fn of_test(rig: &crate::builder::native::rig::Rig) -> Self {
        Self {
            folder: rig.folder.path().join("buildah"),
            target: rig.settings("one").target,
            storage_driver: "overlay".into(),
            plain_http: [rig.served.host.clone()].into(),
            docker_config: None,
            ca_bundle: None,
            build_env: BTreeMap::new(),
        }
    }
}
