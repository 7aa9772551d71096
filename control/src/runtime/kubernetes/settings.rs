//! What an administrator says of a cluster, in a YAML file.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;
use serde_json::Value;

/// How studios run in one namespace of one cluster. Everything has a default that works on a plain cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesSettings {
    /// Of the kubeconfig; the current one by default. Without a kubeconfig: the cluster that this program runs in.
    pub context: Option<String>,
    /// The context's by default.
    pub namespace: Option<String>,
    /// Numeric user of studios; `null`: what the image or the cluster says (`OpenShift` gives each namespace its own).
    pub user: Option<i64>,
    pub workspace: Workspace,
    /// How agents show who they are.
    pub identity: Identity,
    /// Quantities as Kubernetes writes them, also of GPUs (`nvidia.com/gpu`).
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
    pub node_selector: BTreeMap<String, String>,
    /// As in a pod.
    pub tolerations: Vec<Value>,
    /// Volumes that exist, for every studio.
    pub volumes: Vec<ExistingVolume>,
    /// Laid over every pod by strategic merge: `metadata` and `spec` as in a pod.
    pub pod: Value,
    /// Names of secrets in the namespace.
    pub image_pull_secrets: Vec<String>,
    /// Addresses (CIDR) of this program: it then reaches studios' ports directly. By default all goes through agents'
    /// connections, and nobody reaches a studio.
    pub direct_from: Option<String>,
    /// How long a pod may wait for a node.
    pub schedule_limit_s: u64,
    /// How long an image may take to come.
    pub pull_limit_s: u64,
}

/// Where studios' files are while they run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workspace {
    /// With the pod: gone with it.
    Empty {},
    /// On a volume of its own, which is kept when files could not be brought back.
    Claim {
        size: String,
        #[serde(default)]
        storage_class: Option<String>,
    },
}

/// A volume with data of its own, which is neither made nor removed: seen as `/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NewVolume")]
pub struct ExistingVolume {
    pub name: String,
    /// Of the claim in the namespace.
    pub claim: String,
    pub read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVolume {
    name: String,
    claim: String,
    #[serde(default)]
    read_only: bool,
}

/// Folders of an image that nothing may hide.
const TAKEN: &[&str] = &[
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "opt", "proc", "root", "run",
    "sbin", "sys", "tmp", "usr", "var",
];

impl TryFrom<NewVolume> for ExistingVolume {
    type Error = String;

    fn try_from(volume: NewVolume) -> Result<Self, String> {
        let NewVolume { name, claim, read_only } = volume;
        let good = (1..=40).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !good || TAKEN.contains(&name.as_str()) {
            return Err(format!(
                "{name:?} is no name for a volume: at most 40 lower-case letters, digits and dashes, and no folder that images have"
            ));
        }
        Ok(Self { name, claim, read_only })
    }
}

/// How agents show who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// By their pods' accounts where this program may ask the cluster about tokens, else by tokens of ours.
    #[default]
    Auto,
    /// By their pods' accounts.
    Account,
    /// By tokens of ours, which work once.
    Token,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            context: None,
            namespace: None,
            user: Some(1000),
            workspace: Workspace::Empty {},
            identity: Identity::Auto,
            requests: BTreeMap::new(),
            limits: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            volumes: Vec::new(),
            pod: Value::Null,
            image_pull_secrets: Vec::new(),
            direct_from: None,
            schedule_limit_s: 300,
            pull_limit_s: 600,
        }
    }
}

/// Why settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{path} can't be read")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is not what it must be")]
    Invalid { path: String, source: serde_norway::Error },
}

impl KubernetesSettings {
    /// From a file.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|source| SettingsError::Read { path: path.clone(), source })?;
        serde_norway::from_str(&text).map_err(|source| SettingsError::Invalid { path, source })
    }

    pub(super) const fn schedule_limit(&self) -> Duration {
        Duration::from_secs(self.schedule_limit_s)
    }

    pub(super) const fn pull_limit(&self) -> Duration {
        Duration::from_secs(self.pull_limit_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_and_a_wrong_word_is_refused() {
        assert_eq!(
            serde_norway::from_str::<KubernetesSettings>("{}").unwrap(),
            KubernetesSettings::default()
        );
        let wrong = serde_norway::from_str::<KubernetesSettings>("namespce: x").unwrap_err();
        assert!(wrong.to_string().contains("namespce"), "{wrong}");
    }

    #[test]
    fn a_volume_that_exists_hides_nothing_of_the_image() {
        let read = |text: &str| serde_norway::from_str::<KubernetesSettings>(text);
        let settings = read("volumes: [{name: data, claim: shared, read_only: true}]").unwrap();
        let volume =
            ExistingVolume { name: "data".into(), claim: "shared".into(), read_only: true };
        assert_eq!(settings.volumes, [volume]);
        for name in ["etc", "home", "../x", "A", "-a", ""] {
            read(&format!("volumes: [{{name: '{name}', claim: c}}]")).unwrap_err();
        }
    }

    #[test]
    fn a_volume_is_asked_for_by_its_size() {
        let text = "workspace: {kind: claim, size: 10Gi}\nlimits: {nvidia.com/gpu: '1'}";
        let settings: KubernetesSettings = serde_norway::from_str(text).unwrap();
        let claim = Workspace::Claim { size: "10Gi".into(), storage_class: None };
        assert_eq!(settings.workspace, claim);
        assert_eq!(settings.limits["nvidia.com/gpu"], "1");
    }
}
