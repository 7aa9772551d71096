//! The pod: *restricted* by Pod Security, any user, the agent as process 1, files on one volume.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    identity,
    names::{self, CONTAINER},
    objects::Context,
    settings::{ExistingVolume, Workspace},
};
use crate::runtime::PodSpec;

/// As seen in the pod.
pub(super) const HOME: &str = "/home/dataiku";
pub(super) const WORKSPACE: &str = "/home/dataiku/workspace";
pub(super) const STUDIO_PREFIX: &str = "/opt/studio";
const STATE: &str = "/run/atelier";
const TMP: &str = "/tmp";

/// Volume, its folder, and where that is seen: nothing is written to the container's own layer, and any user may write here.
const PLACES: &[(&str, &str, &str)] = &[
    (FILES, "home", HOME),
    (FILES, "workspace", WORKSPACE),
    (SCRATCH, "state", STATE),
    (SCRATCH, "tmp", TMP),
];
/// What the studio's owner would miss.
const FILES: &str = "files";
/// What is of this pod alone.
const SCRATCH: &str = "scratch";

/// Declared ports, each once.
pub(super) fn ports(spec: &PodSpec) -> BTreeSet<u16> {
    spec.ports.iter().copied().collect()
}

/// The pod's template within the Deployment.
pub(super) fn template(context: &Context, spec: &PodSpec) -> Value {
    let settings = &context.settings;
    let mut security = json!({
        "runAsNonRoot": true,
        "runAsGroup": 0,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let (Some(user), Some(security)) = (settings.user, security.as_object_mut()) {
        security.insert("runAsUser".into(), json!(user));
        security.insert("fsGroup".into(), json!(user));
    }
    let pull_secrets: Vec<Value> =
        settings.image_pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let mut volumes = vec![files(context, spec), json!({"name": SCRATCH, "emptyDir": {}})];
    volumes.extend(settings.volumes.iter().map(|volume| {
        let claim = json!({"claimName": volume.claim, "readOnly": volume.read_only});
        json!({"name": existing(volume), "persistentVolumeClaim": claim})
    }));
    if spec.attested {
        volumes.push(identity::volume(&context.installation));
    }
    json!({
        "metadata": {
            "labels": labels(context, spec),
            "annotations": {
                // A new token of ours is a new pod: the one that runs has the old token, which opens nothing any more.
                names::AGENT: digest(spec),
            },
        },
        "spec": {
            "serviceAccountName": names::object(&spec.studio),
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": spec.termination_grace.as_secs(),
            "securityContext": security,
            "imagePullSecrets": pull_secrets,
            "nodeSelector": settings.node_selector,
            "tolerations": settings.tolerations,
            "containers": [container(context, spec)],
            "volumes": volumes,
        },
    })
}

pub(super) fn labels(context: &Context, spec: &PodSpec) -> Value {
    let mut labels = names::labels(&context.installation, spec);
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(names::EPOCH.into(), json!(spec.epoch.to_string()));
    }
    labels
}

fn container(context: &Context, spec: &PodSpec) -> Value {
    let settings = &context.settings;
    let mut env: Vec<Value> =
        context.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    for (name, path) in [
        ("K8S_NODE_NAME", "spec.nodeName"),
        ("K8S_POD_NAME", "metadata.name"),
        ("K8S_POD_NAMESPACE", "metadata.namespace"),
        ("K8S_POD_ID", "metadata.uid"),
    ] {
        env.push(json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    }
    for (name, value) in [
        ("HOME", HOME),
        ("ATELIER_STUDIO_ID", spec.studio.as_str()),
        ("ATELIER_EPOCH", &spec.epoch.to_string()),
        ("ATELIER_STATE_DIR", STATE),
    ] {
        env.push(json!({"name": name, "value": value}));
    }
    let ports: Vec<Value> = ports(spec)
        .iter()
        .map(|port| json!({"name": format!("port-{port}"), "containerPort": port, "protocol": "TCP"}))
        .collect();
    let mut mounts: Vec<Value> = PLACES
        .iter()
        .map(|(volume, folder, at)| json!({"name": volume, "subPath": folder, "mountPath": at}))
        .collect();
    mounts.extend(settings.volumes.iter().map(|volume| {
        let at = format!("/{}", volume.name);
        json!({"name": existing(volume), "mountPath": at, "readOnly": volume.read_only})
    }));
    if spec.attested {
        env.push(identity::env());
        mounts.push(identity::mount());
    }
    json!({
        "name": CONTAINER,
        "image": spec.image.reference,
        "imagePullPolicy": "IfNotPresent",
        "env": env,
        "envFrom": [{"secretRef": {"name": secret_name(spec)}}],
        "ports": ports,
        "resources": {"requests": settings.requests, "limits": settings.limits},
        // Last words, also of an agent that could not write its own.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    })
}

/// Another name than those of the pod's own volumes.
fn existing(volume: &ExistingVolume) -> String {
    format!("existing-{}", volume.name)
}

fn files(context: &Context, spec: &PodSpec) -> Value {
    match &context.settings.workspace {
        Workspace::Empty {} => json!({"name": FILES, "emptyDir": {}}),
        Workspace::Claim { .. } => {
            json!({"name": FILES, "persistentVolumeClaim": {"claimName": names::object(&spec.studio)}})
        }
    }
}

/// Of the Secret with what the agent is told.
pub(super) fn secret_name(spec: &PodSpec) -> String {
    let mut digest = digest(spec);
    digest.truncate(10);
    format!("{}-{digest}", names::object(&spec.studio))
}

/// Over what the agent is told in secret.
pub(super) fn digest(spec: &PodSpec) -> String {
    let mut hash = Sha256::new();
    for (name, value) in &spec.agent_env {
        for part in [name, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}
