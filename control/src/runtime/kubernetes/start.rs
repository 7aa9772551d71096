//! A start: objects, then the pod until it runs, or until it is clear that it won't.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use tokio::time::Instant;

use super::{
    KubernetesRuntime,
    explain::{self, Stage, Standing},
    names, objects, pod,
    state::{self, Placed},
};
use crate::runtime::{Placement, PodSpec, PodState, RuntimeError};

pub(super) async fn run(
    runtime: &KubernetesRuntime,
    spec: &PodSpec,
) -> Result<Placement, RuntimeError> {
    apply(runtime, spec).await?;
    let placement = until_running(runtime, spec).await?;
    let placed = Placed { epoch: spec.epoch, placement: placement.clone() };
    let text = serde_json::to_string(&placed).expect("a placement has a text form");
    let name = names::object(&spec.studio);
    runtime.cluster.annotate::<Deployment>(&name, names::PLACEMENT, &text).await?;
    Ok(placement)
}

/// All objects; the Deployment last, since its pod needs the others.
async fn apply(runtime: &KubernetesRuntime, spec: &PodSpec) -> Result<(), RuntimeError> {
    let (cluster, context) = (&runtime.cluster, &runtime.context);
    let with_claim = async {
        if let Some(claim) = objects::claim(context, spec) {
            cluster.apply::<PersistentVolumeClaim>(&claim).await?;
        }
        cluster.apply::<Secret>(&objects::secret(context, spec)).await
    };
    let with_service = async {
        if let Some(service) = objects::service(context, spec) {
            cluster.apply::<Service>(&service).await?;
        }
        cluster.apply::<ServiceAccount>(&objects::account(context, spec)).await
    };
    let policy = objects::network_policy(context, spec);
    let others = try_join(with_claim, with_service);
    try_join(others, cluster.apply::<NetworkPolicy>(&policy)).await?;
    cluster.apply::<Deployment>(&objects::deployment(context, spec)).await?;
    let selector = names::studio_selector(&context.installation, &spec.studio);
    let present = pod::secret_name(spec);
    for older in cluster.find::<Secret>(&selector).await?.iter().filter(|name| **name != present) {
        cluster.delete_one::<Secret>(older).await?;
    }
    Ok(())
}

/// Waits for the pod of this incarnation. Each stage has its own time.
async fn until_running(
    runtime: &KubernetesRuntime,
    spec: &PodSpec,
) -> Result<Placement, RuntimeError> {
    let mut changes = runtime.watched.changes();
    let (mut stage, mut since) = (Stage::Node, Instant::now());
    loop {
        changes.borrow_and_update();
        let pod = newest(runtime, spec);
        if let Some(pod) = &pod {
            match state::of_pod(pod, runtime.direct()) {
                Some(PodState::Running(placement)) => return Ok(placement),
                Some(PodState::Ended { .. } | PodState::Absent) | None => (),
            }
        }
        let deployment = runtime.watched.deployment(&spec.studio);
        let standing = explain::standing(deployment.as_deref(), pod.as_deref());
        let now = match &standing {
            Standing::Goes(stage) | Standing::Hangs { stage, .. } => *stage,
            Standing::Failed { what, why, hint } => {
                let hint = (*hint).to_owned();
                return Err(RuntimeError::Refused { what, why: why.clone(), hint });
            }
        };
        if now != stage {
            (stage, since) = (now, Instant::now());
        }
        let limit = limit_of(runtime, stage);
        tokio::select! {
            changed = changes.changed() => {
                let source = |_| RuntimeError::Unavailable {
                    what: "the cluster is not watched any more",
                    source: "its watch has ended".into(),
                };
                changed.map_err(source)?;
            }
            () = tokio::time::sleep_until(since + limit) => {
                return Err(too_late(runtime, stage, standing, pod.as_deref(), limit).await);
            }
        }
    }
}

/// Of this incarnation and with the present token, which the latest pod has.
fn newest(runtime: &KubernetesRuntime, spec: &PodSpec) -> Option<Arc<Pod>> {
    let wanted = pod::digest(spec);
    let mut pods = runtime.watched.pods(&spec.studio);
    pods.retain(|pod| {
        let digest = pod.metadata.annotations.as_ref().and_then(|it| it.get(names::AGENT));
        state::epoch(pod) == Some(spec.epoch) && digest == Some(&wanted)
    });
    pods.pop()
}

fn limit_of(runtime: &KubernetesRuntime, stage: Stage) -> Duration {
    match stage {
        Stage::Node => runtime.context.settings.schedule_limit(),
        Stage::Container => runtime.context.settings.pull_limit(),
    }
}

async fn too_late(
    runtime: &KubernetesRuntime,
    stage: Stage,
    standing: Standing,
    pod: Option<&Pod>,
    limit: Duration,
) -> RuntimeError {
    let (said, hint) = match standing {
        Standing::Hangs { why, hint, .. } | Standing::Failed { why, hint, .. } => (Some(why), hint),
        Standing::Goes(_) => (None, "look at the pod's events"),
    };
    let complaint = match (said, pod) {
        (Some(said), _) => said,
        (None, Some(pod)) => match runtime.cluster.events_of(pod).await {
            Ok(events) => explain::last_complaint(&events)
                .unwrap_or_else(|| "the cluster does not say why".to_owned()),
            Err(error) => format!("its events can't be read: {error}"),
        },
        (None, None) => "no pod was made".to_owned(),
    };
    let what = match stage {
        Stage::Node => "no node takes the pod",
        Stage::Container => "the pod does not begin to run",
    };
    let why = format!("{complaint} (waited {} s)", limit.as_secs());
    RuntimeError::Refused { what, why, hint: hint.to_owned() }
}
