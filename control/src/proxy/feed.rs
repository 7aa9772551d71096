//! Keeps the route table true: what studios are wanted for and where they run comes from the services, the runtime and the
//! agents.
//!
//! A change of a studio or of its agent leads to a new look at that studio; a period looks at all, so that a lost event costs
//! time only. Every change of an agent is passed on as a change of its studio, for whoever else watches those.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use images::launch::{Entrypoint, LaunchSpec};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Inject, PortRoute, Progress, Proxy, RouteState, RouteTable, StepState, StudioRoute, Upstream,
};
use crate::{
    app::{AppError, ports::Agents, secrets::StudioSecrets, services::Services},
    domain::{
        agent::{AgentView, ReadinessLevel},
        ids::StudioId,
        studio::{StartStep, Studio, StudioState},
        subpath::Subpath,
        task::{StepStatus, TaskEvent},
    },
    runtime::{PodState, Runtime},
};

/// How often everything is looked at, whatever events say.
const PERIOD: Duration = Duration::from_secs(10);

/// Fills a proxy's table.
pub struct RouteFeed {
    pub services: Arc<Services>,
    pub agents: Arc<dyn Agents>,
    pub runtime: Arc<dyn Runtime>,
    pub secrets: StudioSecrets,
    pub table: Arc<RouteTable>,
    pub proxy: Proxy,
    pub tracker: TaskTracker,
}

impl RouteFeed {
    /// Runs until shut down.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut changes = self.services.studios.changes();
        let mut period = tokio::time::interval(PERIOD);
        let mut watched: HashMap<StudioId, DropGuard> = HashMap::new();
        loop {
            let changed = tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.recv() => match change {
                    Ok(studio) => Some(studio),
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => return,
                },
                _ = period.tick() => None,
            };
            let looked = match changed {
                Some(id) => self.look(&id, &mut watched).await,
                None => self.look_at_all(&mut watched).await,
            };
            if let Err(error) = looked {
                tracing::warn!(error = &error as &dyn std::error::Error, "routes may be old");
            }
        }
    }

    async fn look_at_all(
        &self,
        watched: &mut HashMap<StudioId, DropGuard>,
    ) -> Result<(), AppError> {
        for studio in self.services.store.studios(None).await? {
            self.set(studio, watched).await?;
        }
        Ok(())
    }

    async fn look(
        &self,
        id: &StudioId,
        watched: &mut HashMap<StudioId, DropGuard>,
    ) -> Result<(), AppError> {
        if let Some(studio) = self.services.store.studio(id).await? {
            return self.set(studio, watched).await;
        }
        watched.remove(id);
        self.table.remove(id);
        self.proxy.forget_studio(id);
        Ok(())
    }

    async fn set(
        &self,
        studio: Studio,
        watched: &mut HashMap<StudioId, DropGuard>,
    ) -> Result<(), AppError> {
        if studio.state == StudioState::Stopped {
            watched.remove(&studio.id);
        } else {
            watched.entry(studio.id.clone()).or_insert_with(|| self.pass_on(&studio.id));
        }
        let spec = match &studio.build {
            Some(build) => self.services.builds.launch_of(build).await?,
            None => LaunchSpec::default(),
        };
        let address = match studio.state {
            StudioState::Stopped => None,
            StudioState::Starting | StudioState::Running | StudioState::Stopping => {
                match self.runtime.observe_studio(&studio.id).await {
                    Ok(PodState::Running(placement)) => placement.address,
                    Ok(PodState::Absent | PodState::Ended { .. }) => None,
                    Err(error) => return Err(AppError::internal("looking at a pod", error)),
                }
            }
        };
        let view = self.agents.watch(&studio.id).borrow().clone();
        let state = self.state(&studio).await?;
        let exposed = spec.entrypoints.iter().filter(|entrypoint| entrypoint.exposed);
        self.table.set(StudioRoute {
            first_tool: exposed.clone().find_map(|entrypoint| entrypoint.port),
            ports: self.ports(&studio, &spec, address, &view),
            state,
            project: studio.project,
            id: studio.id,
            name: studio.name,
            owner: studio.owner,
        });
        Ok(())
    }

    /// Tells of every change of an agent, until dropped.
    fn pass_on(&self, id: &StudioId) -> DropGuard {
        let cancel = CancellationToken::new();
        let (mut view, studios) = (self.agents.watch(id), Arc::clone(&self.services.studios));
        let (id, until) = (id.clone(), cancel.clone());
        self.tracker.spawn(async move {
            while let Some(Ok(())) = until.run_until_cancelled(view.changed()).await {
                studios.touch(&id);
            }
        });
        cancel.drop_guard()
    }

    fn ports(
        &self,
        studio: &Studio,
        spec: &LaunchSpec,
        address: Option<IpAddr>,
        view: &AgentView,
    ) -> BTreeMap<u16, PortRoute> {
        let upstream = |port| match address {
            Some(address) => Upstream::Direct(SocketAddr::new(address, port)),
            None => Upstream::Tunnel,
        };
        let more = spec.more_ports.iter().map(|&port| {
            let upstream = upstream(port);
            (port, PortRoute { upstream, subpath: Subpath::RequestUri, secret: None, ready: true })
        });
        let own = spec.entrypoints.iter().filter_map(|entrypoint| {
            let port = entrypoint.port?;
            let known = view.entrypoints.iter().find(|known| known.id == entrypoint.id);
            let ready = known.is_some_and(|known| known.level == ReadinessLevel::Ready);
            let subpath = entrypoint.proxied_subpath.parse().unwrap_or(Subpath::RequestUri);
            let secret = self.inject(studio, entrypoint);
            Some((port, PortRoute { upstream: upstream(port), subpath, secret, ready }))
        });
        more.chain(own).collect()
    }

    fn inject(&self, studio: &Studio, entrypoint: &Entrypoint) -> Option<Inject> {
        let header = entrypoint.inject.as_ref()?;
        let secret = self.secrets.of(&studio.id);
        let value = header.value.replace("${ATELIER_STUDIO_SECRET}", &secret);
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        let name: HeaderName = header.name.parse().ok()?;
        Some(Inject { headers: vec![(name, value)], query: None })
    }

    async fn state(&self, studio: &Studio) -> Result<RouteState, AppError> {
        Ok(match studio.state {
            StudioState::Running => RouteState::Running,
            StudioState::Stopping => RouteState::Stopping,
            StudioState::Stopped => match &studio.failure {
                Some(reason) => RouteState::Failed { reason: reason.clone() },
                None => RouteState::Stopped,
            },
            StudioState::Starting => {
                let events = match &studio.task {
                    Some(task) => self.services.tasks.events(task).await?,
                    None => Vec::new(),
                };
                RouteState::Starting { progress: progress(&events) }
            }
        })
    }
}

/// Every step of a start, with what its events say.
fn progress(events: &[TaskEvent]) -> Vec<Progress> {
    let steps = StartStep::ALL.into_iter().map(|step| {
        let of_it = || events.iter().filter(|event| event.step == step.name());
        let last = of_it().next_back();
        let state = match last.map(|event| event.status) {
            None => StepState::Pending,
            Some(StepStatus::Began | StepStatus::Progress) => StepState::Active,
            Some(StepStatus::Done) => StepState::Done,
            Some(StepStatus::Failed) => StepState::Failed,
        };
        let elapsed = of_it().next().zip(last).map(|(first, last)| last.at - first.at);
        Progress {
            step: step.name().to_owned(),
            state,
            message: last.map(|event| event.message.clone()).unwrap_or_default(),
            elapsed_ms: elapsed.and_then(|time| u64::try_from(time.whole_milliseconds()).ok()),
        }
    });
    steps.collect()
}
