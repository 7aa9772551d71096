//! The objects of a studio, as they are applied: pure functions from what is wanted.

use serde_json::{Value, json};

use super::{merge, names, pod, settings::Workspace};
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

/// What the agent needs to know; its token among it where the cluster does not say who it is. Each token has a Secret of its own, so that a pod never sees another's,
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
    let mut template = pod::template(context, spec);
    // The template's author knows more of this studio than the administrator of the cluster.
    for overrides in [&context.settings.pod, &spec.overrides] {
        if overrides.is_object() {
            merge::merge(&mut template, overrides);
        }
    }
    // By these the pod is found again.
    merge::merge(&mut template["metadata"]["labels"], &pod::labels(context, spec));
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(context, spec),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {names::STUDIO: spec.studio}},
            "template": template,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{build::ImageRef, ids::StudioId};

    fn laid_over(of_cluster: Value, of_template: Value) -> Value {
        let settings = KubernetesSettings { pod: of_cluster, ..KubernetesSettings::default() };
        let context = Context {
            installation: "i".into(),
            namespace: "n".into(),
            settings,
            env: BTreeMap::new(),
        };
        let spec = PodSpec {
            studio: StudioId::random(),
            project: "DEMO".parse().unwrap(),
            owner: "ann".parse().unwrap(),
            epoch: 1,
            image: ImageRef { builder: "b".into(), reference: "r".into(), digest: "d".into() },
            agent_env: BTreeMap::new(),
            attested: false,
            ports: vec![8000],
            overrides: of_template,
            termination_grace: std::time::Duration::from_mins(5),
        };
        let mut deployment = deployment(&context, &spec);
        deployment["spec"]["template"].take()
    }

    #[test]
    fn a_template_s_words_come_after_the_cluster_s_and_neither_hides_whose_the_pod_is() {
        let of_cluster = json!({"spec": {"priorityClassName": "low", "schedulerName": "ours"}});
        let of_template = json!({"metadata": {"labels": {"team": "a", names::STUDIO: "another"}},
                                 "spec": {"priorityClassName": "high"}});
        let template = laid_over(of_cluster, of_template);
        assert_eq!(template["spec"]["priorityClassName"], "high");
        assert_eq!(template["spec"]["schedulerName"], "ours");
        assert_eq!(template["metadata"]["labels"]["team"], "a");
        assert_ne!(template["metadata"]["labels"][names::STUDIO], "another");
        assert_eq!(template["spec"]["containers"][0]["name"], names::CONTAINER);
    }
}
