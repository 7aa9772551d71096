//! What the cluster has of us, kept by watches: nothing is polled.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::Deployment, core::v1::Pod},
};
use kube::{
    Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _, reflector,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    cluster::Cluster,
    names::{self, STUDIO},
    state,
};
use crate::{domain::ids::StudioId, runtime::RuntimeError};

/// How long the first answer may take.
const FIRST: Duration = Duration::from_secs(20);

/// Pods and Deployments of an installation, as last told.
pub(super) struct Watched {
    pods: Store<Pod>,
    deployments: Store<Deployment>,
    namespace: String,
    /// Rises with every change.
    version: watch::Receiver<u64>,
}

impl Watched {
    /// Begins to watch. Studios that changed are sent to `changes`.
    pub(super) fn begin(
        cluster: &Cluster,
        installation: &str,
        changes: mpsc::Sender<StudioId>,
        tracker: &TaskTracker,
        closed: &CancellationToken,
    ) -> Self {
        let (version, seen) = watch::channel(0);
        let version = Arc::new(version);
        let selector = names::selector(installation);
        let (pods, writer) = reflector::store();
        let told = Told { version: Arc::clone(&version), changes: changes.clone() };
        tracker.spawn(follow::<Pod>(
            cluster.clone(),
            selector.clone(),
            writer,
            told,
            closed.clone(),
        ));
        let (deployments, writer) = reflector::store();
        let told = Told { version, changes };
        tracker.spawn(follow::<Deployment>(
            cluster.clone(),
            selector,
            writer,
            told,
            closed.clone(),
        ));
        Self { pods, deployments, namespace: cluster.namespace.clone(), version: seen }
    }

    /// Waits for the first answer of the cluster. Cancel safe.
    pub(super) async fn ready(&self) -> Result<(), RuntimeError> {
        let both = async {
            self.pods.wait_until_ready().await.ok()?;
            self.deployments.wait_until_ready().await.ok()
        };
        let what = "the cluster does not say what runs";
        match tokio::time::timeout(FIRST, both).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => {
                let source = "its watch has ended".into();
                Err(RuntimeError::Unavailable { what, source })
            }
            Err(elapsed) => Err(RuntimeError::Unavailable { what, source: Box::new(elapsed) }),
        }
    }

    /// Resolves after every change. Cancel safe.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    pub(super) fn deployment(&self, studio: &StudioId) -> Option<Arc<Deployment>> {
        let key = ObjectRef::new(&names::object(studio)).within(&self.namespace);
        self.deployments.get(&key)
    }

    /// Oldest first.
    pub(super) fn pods(&self, studio: &StudioId) -> Vec<Arc<Pod>> {
        let mut pods: Vec<Arc<Pod>> = self
            .pods
            .state()
            .into_iter()
            .filter(|pod| studio_of(pod.as_ref()).as_ref() == Some(studio))
            .collect();
        pods.sort_by_key(|pod| state::created(pod));
        pods
    }

    /// All that have a pod or a Deployment.
    pub(super) fn studios(&self) -> Vec<StudioId> {
        let pods = self.pods.state();
        let deployments = self.deployments.state();
        let of_pods = pods.iter().filter_map(|pod| studio_of(pod.as_ref()));
        let of_deployments = deployments.iter().filter_map(|it| studio_of(it.as_ref()));
        let all: std::collections::BTreeSet<StudioId> = of_pods.chain(of_deployments).collect();
        all.into_iter().collect()
    }
}

fn studio_of<K: Resource>(object: &K) -> Option<StudioId> {
    object.meta().labels.as_ref()?.get(STUDIO)?.parse().ok()
}

/// Who is told of a change.
struct Told {
    version: Arc<watch::Sender<u64>>,
    changes: mpsc::Sender<StudioId>,
}

async fn follow<K>(
    cluster: Cluster,
    selector: String,
    writer: Writer<K>,
    told: Told,
    closed: CancellationToken,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let events = watcher(cluster.api::<K>(), watcher::Config::default().labels(&selector));
    // Gone objects come with their last state; what only the server needs is not kept.
    let events = events
        .default_backoff()
        .map_ok(|event| event.modify(|object| object.managed_fields_mut().clear()));
    let mut events = std::pin::pin!(reflector(writer, events));
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = closed.cancelled() => return,
        };
        let object = match event {
            Some(Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object))) => {
                Some(object)
            }
            Some(Ok(Event::Init | Event::InitDone)) => None,
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the cluster can't be watched now"
                );
                continue;
            }
            None => return,
        };
        told.version.send_modify(|version| *version += 1);
        if let Some(studio) = object.as_ref().and_then(studio_of) {
            // Where the queue is full the reconciler has more to do than to hear this; it looks at all in a while anyway.
            if told.changes.try_send(studio).is_err() {
                tracing::debug!("a change is not told: the queue is full");
            }
        }
    }
}
