//! `kubernetes`: a studio is a Deployment with one pod, and what belongs to it, in one namespace of one cluster.
//!
//! ```text
//! studio-<id>   ServiceAccount, Secret (what the agent needs to know), NetworkPolicy, Service, volume where one was chosen
//!      └─ Deployment ─ pod: the agent is process 1 of the image
//! ```
//!
//! Objects are made by server-side apply with a field manager of our own, and known by labels: a new program finds what an
//! older one made. What runs is told by watches. The agent dials out; nothing needs to reach the pod.
//!
//! The pod that ran first in an incarnation is the studio, and is kept as such on the Deployment. One that Kubernetes makes in
//! its place after an eviction has neither files nor a token, and counts as the studio's end.

mod cluster;
mod explain;
mod identity;
mod lease;
mod merge;
mod names;
mod objects;
mod pod;
mod remove;
mod settings;
mod start;
mod state;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{cluster::Cluster, lease::Leadership, objects::Context, watch::Watched};
pub use self::{
    cluster::ClusterError,
    settings::{ExistingVolume, Identity, KubernetesSettings, SettingsError, Workspace},
};
use super::{Attested, Placement, PodSpec, PodState, Runtime, RuntimeError};
use crate::domain::ids::StudioId;

/// Changes that wait for the reconciler.
const CHANGES: usize = 4096;

/// The driver.
pub struct KubernetesRuntime {
    cluster: Cluster,
    context: Context,
    watched: Watched,
    leadership: Leadership,
    /// Whether the cluster says who agents are; not known before it was asked.
    attests: OnceCell<bool>,
    changed: Mutex<mpsc::Receiver<StudioId>>,
    watchers: TaskTracker,
    closed: CancellationToken,
}

impl KubernetesRuntime {
    /// Opens the driver. A cluster that is away now is no error: it is asked when it is needed. `installation` tells this
    /// control plane's studios from those of others in the namespace; `program` this one from others that have the same
    /// installation by mistake; `env` is for everything in studios.
    pub async fn open(
        settings: KubernetesSettings,
        installation: String,
        program: String,
        env: BTreeMap<String, String>,
    ) -> Result<Self, ClusterError> {
        let cluster =
            Cluster::open(settings.context.as_deref(), settings.namespace.as_deref()).await?;
        let (changes, changed) = mpsc::channel(CHANGES);
        let (watchers, closed) = (TaskTracker::new(), CancellationToken::new());
        let watched = Watched::begin(&cluster, &installation, changes, &watchers, &closed);
        let leadership = Leadership::begin(&cluster, &installation, program, &watchers, &closed);
        let namespace = cluster.namespace.clone();
        let context = Context { installation, namespace, settings, env };
        let (attests, changed) = (OnceCell::new(), Mutex::new(changed));
        Ok(Self { cluster, context, watched, leadership, attests, changed, watchers, closed })
    }

    fn direct(&self) -> bool {
        self.context.settings.direct_from.is_some()
    }

    fn state(&self, studio: &StudioId) -> PodState {
        let deployment = self.watched.deployment(studio);
        state::of_studio(deployment.as_deref(), &self.watched.pods(studio), self.direct())
    }
}

#[async_trait]
impl Runtime for KubernetesRuntime {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn ensure_studio(&self, spec: &PodSpec) -> Result<Placement, RuntimeError> {
        self.watched.ready().await?;
        self.leadership.held().await?;
        start::run(self, spec).await
    }

    async fn observe_studio(&self, studio: &StudioId) -> Result<PodState, RuntimeError> {
        self.watched.ready().await?;
        Ok(self.state(studio))
    }

    async fn remove_studio(
        &self,
        studio: &StudioId,
        grace: Duration,
        keep_files: bool,
    ) -> Result<(), RuntimeError> {
        self.watched.ready().await?;
        self.leadership.held().await?;
        remove::run(self, studio, grace, keep_files).await
    }

    fn keeps_files(&self) -> bool {
        match self.context.settings.workspace {
            Workspace::Claim { .. } => true,
            Workspace::Empty {} => false,
        }
    }

    async fn list_studios(&self) -> Result<Vec<(StudioId, PodState)>, RuntimeError> {
        self.watched.ready().await?;
        let studios = self.watched.studios().into_iter();
        Ok(studios.map(|studio| (studio.clone(), self.state(&studio))).collect())
    }

    async fn attests(&self) -> Result<bool, RuntimeError> {
        identity::can_be_asked(self).await
    }

    async fn attest(&self, credential: &str) -> Result<Option<Attested>, RuntimeError> {
        identity::attest(self, credential).await
    }

    async fn changed(&self) -> StudioId {
        match self.changed.lock().await.recv().await {
            Some(studio) => studio,
            None => std::future::pending().await,
        }
    }

    async fn close(&self, cancel: CancellationToken) {
        self.closed.cancel();
        self.watchers.close();
        tokio::select! {
            () = self.watchers.wait() => (),
            () = cancel.cancelled() => (),
        }
    }
}
