//! Who an agent is, by the cluster's word: a token of its pod's service account, projected into the pod, bound to it, and meant
//! for this installation alone. The cluster renews it, and takes it back when the pod goes.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Pod,
};
use serde_json::{Value, json};

use super::{KubernetesRuntime, names, settings::Identity, state};
use crate::runtime::{Attested, RuntimeError};

/// As seen in the pod.
const FOLDER: &str = "/run/atelier-identity";
const FILE: &str = "token";
const VOLUME: &str = "identity";
/// Of a token; the kubelet has a new one when four fifths of it are over.
const LIFE_S: u32 = 3600;

/// Added by the API server to what a projected token says.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Whom tokens are meant for: this installation, and neither the API server nor another one.
pub(super) fn audience(installation: &str) -> String {
    format!("atelier.dev/{installation}")
}

/// The token's file, for the agent.
pub(super) fn env() -> Value {
    json!({"name": "ATELIER_TOKEN_FILE", "value": format!("{FOLDER}/{FILE}")})
}

pub(super) fn volume(installation: &str) -> Value {
    let token =
        json!({"audience": audience(installation), "expirationSeconds": LIFE_S, "path": FILE});
    json!({"name": VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}})
}

pub(super) fn mount() -> Value {
    json!({"name": VOLUME, "mountPath": FOLDER, "readOnly": true})
}

/// Whether this program may ask the cluster whose token one is. Asked once.
pub(super) async fn can_be_asked(runtime: &KubernetesRuntime) -> Result<bool, RuntimeError> {
    match runtime.context.settings.identity {
        Identity::Account => return Ok(true),
        Identity::Token => return Ok(false),
        Identity::Auto => (),
    }
    let ask = || async {
        let attributes = ResourceAttributes {
            group: Some("authentication.k8s.io".into()),
            resource: Some("tokenreviews".into()),
            verb: Some("create".into()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let said = runtime.cluster.ask("asking what this program may do", &review).await?;
        let allowed = said.status.is_some_and(|status| status.allowed);
        if !allowed {
            tracing::warn!(
                "agents show tokens of this program's own: it may not create tokenreviews in the cluster"
            );
        }
        Ok(allowed)
    };
    runtime.attests.get_or_try_init(ask).await.copied()
}

/// Whose pod shows a credential; `None`: no pod of this installation that there is.
pub(super) async fn attest(
    runtime: &KubernetesRuntime,
    credential: &str,
) -> Result<Option<Attested>, RuntimeError> {
    let audience = audience(&runtime.context.installation);
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: Some(credential.to_owned()),
            audiences: Some(vec![audience.clone()]),
        },
        ..TokenReview::default()
    };
    let said = runtime.cluster.ask_once("asking whose token it is", &review).await?;
    let Some(status) = said.status else { return Ok(None) };
    let meant = status.audiences.unwrap_or_default().contains(&audience);
    if status.authenticated != Some(true) || !meant {
        return Ok(None);
    }
    let Some((name, uid)) = status.user.as_ref().and_then(|user| bound_to(user, runtime)) else {
        return Ok(None);
    };
    // The watch may be behind a pod that is this new.
    let pod = runtime.cluster.get_once::<Pod>("looking for the token's pod", name).await?;
    Ok(pod.filter(|pod| state::uid(pod) == uid).and_then(|pod| whose(&pod, runtime)))
}

/// Name and identity of the pod in our namespace that a token is bound to.
fn bound_to<'a>(user: &'a UserInfo, runtime: &KubernetesRuntime) -> Option<(&'a str, &'a str)> {
    let accounts = format!("system:serviceaccount:{}:", runtime.context.namespace);
    user.username.as_deref().filter(|name| name.starts_with(&accounts))?;
    let extra = |name: &str| match user.extra.as_ref()?.get(name)?.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    };
    Some((extra(POD_NAME)?, extra(POD_UID)?))
}

fn whose(pod: &Pod, runtime: &KubernetesRuntime) -> Option<Attested> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get(names::INSTALLATION).filter(|it| **it == runtime.context.installation)?;
    Some(Attested {
        studio: labels.get(names::STUDIO)?.parse().ok()?,
        epoch: state::epoch(pod)?,
        pod_uid: state::uid(pod).to_owned(),
    })
}
