//! A runtime without processes, for tests of what stands on runtimes. Stricter than the real ones: an epoch never goes
//! back, and a pod has a name of its own for its whole life.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Placement, PodSpec, PodState, Runtime, RuntimeError};
use crate::domain::ids::StudioId;

/// Changes that nobody has asked for yet; further ones wait.
const CHANGES: usize = 64;

/// The driver.
#[derive(Debug)]
pub struct FakeRuntime {
    state: Mutex<State>,
    changes: mpsc::Sender<StudioId>,
    changed: Mutex<mpsc::Receiver<StudioId>>,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<StudioId, (u64, PodState)>,
    /// Highest epoch that each studio ever had.
    epochs: BTreeMap<StudioId, u64>,
    made: u8,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        let (changes, changed) = mpsc::channel(CHANGES);
        Self { state: Mutex::default(), changes, changed: Mutex::new(changed) }
    }
}

impl FakeRuntime {
    /// The pod's process ends on its own.
    pub async fn end(&self, studio: &StudioId, reason: &str) {
        if let Some((_, pod)) = self.state.lock().await.pods.get_mut(studio)
            && let PodState::Running(placement) = pod
        {
            *pod = PodState::Ended { placement: placement.clone(), reason: reason.to_owned() };
        }
        self.changes.send(studio.clone()).await.expect("the receiver lives as long as the driver");
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn ensure_studio(&self, spec: &PodSpec) -> Result<Placement, RuntimeError> {
        let mut state = self.state.lock().await;
        if let Some((epoch, PodState::Running(placement))) = state.pods.get(&spec.studio)
            && *epoch == spec.epoch
        {
            return Ok(placement.clone());
        }
        let highest = state.epochs.entry(spec.studio.clone()).or_default();
        assert!(spec.epoch >= *highest, "epoch {} comes after epoch {highest}", spec.epoch);
        *highest = spec.epoch;
        state.made += 1;
        let address = IpAddr::from([127, 9, 9, state.made]);
        let placement = Placement {
            pod_name: format!("studio-{}", spec.studio),
            pod_uid: format!("pod-{}", state.made),
            node_name: "fake".into(),
            namespace: "atelier".into(),
            address: Some(address),
            listen_address: address,
            workspace: "/home/dataiku/workspace".into(),
            home: "/home/dataiku".into(),
            studio_prefix: "/opt/studio".into(),
        };
        state.pods.insert(spec.studio.clone(), (spec.epoch, PodState::Running(placement.clone())));
        Ok(placement)
    }

    async fn observe_studio(&self, studio: &StudioId) -> Result<PodState, RuntimeError> {
        let state = self.state.lock().await;
        Ok(state.pods.get(studio).map_or(PodState::Absent, |(_, pod)| pod.clone()))
    }

    async fn remove_studio(
        &self,
        studio: &StudioId,
        _grace: Duration,
        _keep_files: bool,
    ) -> Result<(), RuntimeError> {
        self.state.lock().await.pods.remove(studio);
        Ok(())
    }

    async fn list_studios(&self) -> Result<Vec<(StudioId, PodState)>, RuntimeError> {
        let state = self.state.lock().await;
        Ok(state.pods.iter().map(|(studio, (_, pod))| (studio.clone(), pod.clone())).collect())
    }

    async fn changed(&self) -> StudioId {
        match self.changed.lock().await.recv().await {
            Some(studio) => studio,
            None => std::future::pending().await,
        }
    }

    async fn close(&self, _cancel: CancellationToken) {}
}
