//! The objects of a studio, as they are applied: pure functions from what is wanted.

use serde_json::{Value, json};

use super::{names, pod, settings::Workspace};
use crate::runtime::{PodSpec, kubernetes::settings::KubernetesSettings};

/// What all studios of an installation share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub installation: String,
    pub namespace: String,
    pub settings: KubernetesSettings,
    /// For everything in studios: proxies, package mirrors.
    pub env: std::collections::BTreeMap<String, String>,
}

fn metadata(context: &Context, spec: &PodSpec) -> Value {
    json!({
        "name": names::object(&spec.studio),
        "namespace": context.namespace,
        "labels": names::labels(&context.installation, spec),
        "annotations": names::annotations(spec),
    })
}

/// Who the pod is to the cluster: nobody with any right.
pub(super) fn account(context: &Context, spec: &PodSpec) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(context, spec),
        "automountServiceAccountToken": false,
    })
}

/// What the agent needs to know, its token among it. Each token has a Secret of its own, so that a pod never sees another's,
/// whenever it is started: a token works once.
pub(super) fn secret(context: &Context, spec: &PodSpec) -> Value {
    let mut metadata = metadata(context, spec);
    metadata["name"] = json!(pod::secret_name(spec));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": true,
        "stringData": spec.agent_env,
    })
}

/// Headless: names for the studio's ports within the cluster. `None` where it has no port.
pub(super) fn service(context: &Context, spec: &PodSpec) -> Option<Value> {
    let ports = pod::ports(spec);
    (!ports.is_empty()).then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(context, spec),
            "spec": {
                "clusterIP": "None",
                "selector": {names::STUDIO: spec.studio},
                "ports": ports.iter().map(|port| json!({"name": format!("port-{port}"), "port": port, "targetPort": port})).collect::<Vec<_>>(),
            },
        })
    })
}

/// Studios are hostile to each other: nobody reaches one, but this program where it goes directly.
pub(super) fn network_policy(context: &Context, spec: &PodSpec) -> Value {
    let ports: Vec<Value> =
        pod::ports(spec).iter().map(|port| json!({"protocol": "TCP", "port": port})).collect();
    let ingress: Vec<Value> = match &context.settings.direct_from {
        Some(cidr) if !ports.is_empty() => {
            vec![json!({"from": [{"ipBlock": {"cidr": cidr}}], "ports": ports})]
        }
        Some(_) | None => Vec::new(),
    };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(context, spec),
        "spec": {
            "podSelector": {"matchLabels": {names::STUDIO: spec.studio}},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}

/// The volume of the workspace, where one was chosen.
pub(super) fn claim(context: &Context, spec: &PodSpec) -> Option<Value> {
    let Workspace::Claim { size, storage_class } = &context.settings.workspace else {
        return None;
    };
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(context, spec),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    });
    if let (Some(class), Some(spec)) = (storage_class, claim["spec"].as_object_mut()) {
        spec.insert("storageClassName".into(), json!(class));
    }
    Some(claim)
}

/// One pod, and one only: the next comes when the last is gone.
pub(super) fn deployment(context: &Context, spec: &PodSpec) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(context, spec),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {names::STUDIO: spec.studio}},
            "template": pod::template(context, spec),
        },
    })
}
