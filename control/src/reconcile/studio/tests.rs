//! Starts, stops, failures and crashes, with a runtime, agents and files that do as they are told.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{LaunchContext, Limits, StudioReconciler};
use crate::{
    app::{
        AppError,
        ports::{Agents, FileProgress, FileSync, FinalSync, Recovered},
        secrets::StudioSecrets,
        services::Services,
        studios::{StarterFiles, StudioRemains},
    },
    builder::prefix::PrefixBuilder,
    clock::SystemClock,
    domain::{
        agent::{AgentPhase, AgentView, EntrypointView, ReadinessLevel},
        ids::{Login, StudioId},
        launch::{Launch, Mount},
        permission::Principal,
        project::Project,
        studio::{Studio, StudioState},
        task::{Task, TaskState},
        user::Scope,
    },
    runtime::{Placement, PodSpec, PodState, Runtime, RuntimeError},
    store::sqlite::Sqlite,
    wiring,
};

/// What the machine does with what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Well,
    /// The pod runs, its agent never reports.
    Silent,
    /// The pod ends at once.
    Dies,
    /// The application never gets ready.
    NeverReady,
    /// Files can't be brought back.
    KeepsFiles,
}

/// Runtime, agents and files in one: what one does the others see.
struct Machine {
    behaviour: Mutex<Behaviour>,
    pods: Mutex<BTreeMap<StudioId, (u64, PodState)>>,
    views: Mutex<HashMap<StudioId, watch::Sender<AgentView>>>,
    finals: Mutex<HashMap<StudioId, (u64, FinalSync)>>,
    changes: mpsc::Sender<StudioId>,
    changed: tokio::sync::Mutex<mpsc::Receiver<StudioId>>,
    did: Mutex<Vec<String>>,
}

impl Machine {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        let (changes, changed) = mpsc::channel(100);
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            pods: Mutex::default(),
            views: Mutex::default(),
            finals: Mutex::default(),
            changes,
            changed: tokio::sync::Mutex::new(changed),
            did: Mutex::default(),
        })
    }

    fn is(&self, behaviour: Behaviour) -> bool {
        *self.behaviour.lock().unwrap() == behaviour
    }

    fn note(&self, what: &str) {
        self.did.lock().unwrap().push(what.to_owned());
    }

    fn did(&self) -> Vec<String> {
        std::mem::take(&mut *self.did.lock().unwrap())
    }

    fn view(&self, studio: &StudioId, change: impl FnOnce(&mut AgentView)) {
        self.views.lock().unwrap().entry(studio.clone()).or_default().send_modify(change);
    }

    async fn kill_pod(&self, studio: &StudioId) {
        if let Some((_, state)) = self.pods.lock().unwrap().get_mut(studio) {
            *state = PodState::Ended { placement: placement(), reason: "killed".into() };
        }
        self.view(studio, |view| view.connected = false);
        self.changes.send(studio.clone()).await.unwrap();
    }
}

fn placement() -> Placement {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Placement {
        pod_name: "pod".into(),
        pod_uid: "uid".into(),
        node_name: "node".into(),
        namespace: "ns".into(),
        address: Some(address),
        listen_address: address,
        workspace: "/w".into(),
        home: "/h".into(),
        studio_prefix: "/p".into(),
    }
}

#[async_trait]
impl Runtime for Machine {
    fn name(&self) -> &'static str {
        "scripted"
    }
    async fn ensure_studio(&self, spec: &PodSpec) -> Result<Placement, RuntimeError> {
        let mut pods = self.pods.lock().unwrap();
        let known = pods.get(&spec.studio);
        if known.is_none_or(|(epoch, state)| {
            *epoch != spec.epoch || !matches!(state, PodState::Running(_))
        }) {
            self.note(&format!("pod {}", spec.epoch));
            let state = if self.is(Behaviour::Dies) {
                PodState::Ended { placement: placement(), reason: "exit code 1".into() }
            } else {
                PodState::Running(placement())
            };
            pods.insert(spec.studio.clone(), (spec.epoch, state));
        }
        assert!(spec.agent_env["ATELIER_TOKEN"] == format!("token {}", spec.epoch));
        if self.is(Behaviour::Well)
            || self.is(Behaviour::NeverReady)
            || self.is(Behaviour::KeepsFiles)
        {
            self.view(&spec.studio, |view| (view.connected, view.epoch) = (true, spec.epoch));
        }
        Ok(placement())
    }
    async fn observe_studio(&self, studio: &StudioId) -> Result<PodState, RuntimeError> {
        Ok(self
            .pods
            .lock()
            .unwrap()
            .get(studio)
            .map_or(PodState::Absent, |(_, state)| state.clone()))
    }
    async fn remove_studio(
        &self,
        studio: &StudioId,
        _: Duration,
        keep_files: bool,
    ) -> Result<(), RuntimeError> {
        if self.pods.lock().unwrap().remove(studio).is_some() {
            self.note(if keep_files { "remove, files kept" } else { "remove" });
        }
        Ok(())
    }
    async fn list_studios(&self) -> Result<Vec<(StudioId, PodState)>, RuntimeError> {
        Ok(self
            .pods
            .lock()
            .unwrap()
            .iter()
            .map(|(id, (_, state))| (id.clone(), state.clone()))
            .collect())
    }
    async fn changed(&self) -> StudioId {
        self.changed.lock().await.recv().await.unwrap()
    }
    async fn close(&self, _: CancellationToken) {}
}

#[async_trait]
impl Agents for Machine {
    async fn issue_token(&self, _: &StudioId, epoch: u64) -> Result<String, AppError> {
        Ok(format!("token {epoch}"))
    }
    async fn expect_pod(&self, _: &StudioId, _: u64) -> Result<(), AppError> {
        panic!("pods of this runtime have nothing to show")
    }
    fn connection_env(&self) -> Vec<(String, String)> {
        vec![]
    }
    fn watch(&self, studio: &StudioId) -> watch::Receiver<AgentView> {
        self.views.lock().unwrap().entry(studio.clone()).or_default().subscribe()
    }
    async fn launch(&self, studio: &StudioId, launch: &Launch) -> Result<(), AppError> {
        assert_eq!(
            launch.env["DKU_CODE_STUDIO_BROWSER_PATH_9000"],
            format!("/code-studios/DEMO/{studio}/9000")
        );
        self.note("launch");
        Ok(())
    }
    async fn start_entrypoints(&self, studio: &StudioId, _: u64) -> Result<(), AppError> {
        self.note("entrypoints");
        let level = if self.is(Behaviour::NeverReady) {
            ReadinessLevel::Started
        } else {
            ReadinessLevel::Ready
        };
        let since = time::OffsetDateTime::UNIX_EPOCH;
        let entrypoint = EntrypointView {
            id: "mine".into(),
            level,
            since,
            reason: "connection refused".into(),
            restarts: 0,
        };
        self.view(studio, |view| view.entrypoints = vec![entrypoint]);
        Ok(())
    }
    async fn drain(
        &self,
        studio: &StudioId,
        _: Duration,
        _: &str,
        _: bool,
    ) -> Result<(), AppError> {
        self.note("drain");
        let left_behind = if self.is(Behaviour::KeepsFiles) {
            vec!["a file: disk full".to_owned()]
        } else {
            vec![]
        };
        let epoch = self.pods.lock().unwrap()[studio].0;
        self.finals
            .lock()
            .unwrap()
            .insert(studio.clone(), (epoch, FinalSync { left_behind, kept_both: 0 }));
        self.view(studio, |view| view.phase = AgentPhase::Ended);
        Ok(())
    }
    async fn forget(&self, studio: &StudioId) -> Result<(), AppError> {
        self.view(studio, |view| *view = AgentView::default());
        Ok(())
    }
}

#[async_trait]
impl FileSync for Machine {
    async fn declare_mounts(&self, _: &Studio, mounts: &[Mount]) -> Result<(), AppError> {
        assert_eq!(mounts.len(), 8);
        Ok(())
    }
    async fn fill(&self, _: &Studio, _: watch::Sender<FileProgress>) -> Result<(), AppError> {
        self.note("fill");
        Ok(())
    }
    async fn recover(&self, _: &Studio) -> Result<Recovered, AppError> {
        panic!("this runtime keeps files")
    }
    async fn shadowed(&self, _: &Studio) -> Result<u64, AppError> {
        panic!("this runtime keeps files")
    }
    async fn final_result(&self, studio: &StudioId, epoch: u64) -> Option<FinalSync> {
        self.finals
            .lock()
            .unwrap()
            .get(studio)
            .filter(|(of, _)| *of == epoch)
            .map(|(_, result)| result.clone())
    }
    async fn bring_back(&self, _: &Studio, _: &Login) -> Result<FinalSync, AppError> {
        Ok(FinalSync::default())
    }
}

#[async_trait]
impl StarterFiles for Machine {
    async fn copy(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

#[async_trait]
impl StudioRemains for Machine {
    async fn remove(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

struct Server {
    _folder: tempfile::TempDir,
    services: Arc<Services>,
    machine: Arc<Machine>,
    admin: Principal,
    studio: StudioId,
    limits: Limits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Server {
    /// A server with a stopped studio whose template is built.
    async fn new(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("db")).await.unwrap());
        let builder =
            Arc::new(PrefixBuilder::open(&folder.path().join("prefix"), [].into()).unwrap());
        let context = images::compose::CompileContext {
            base: "m".into(),
            platform: "p".into(),
            build_env: [].into(),
        };
        let machine = Machine::new(behaviour);
        let (starter, remains) = (Arc::clone(&machine) as _, Arc::clone(&machine) as _);
        let (agents, _) = crate::agents::AgentHub::new(
            crate::agents::ca::Ca::open(folder.path()).unwrap(),
            String::new(),
            Arc::clone(&store) as Arc<dyn crate::store::Store>,
            TaskTracker::new(),
            CancellationToken::new(),
        );
        let zones = Arc::new(crate::zones::local::LocalZones::new(
            folder.path().join("zones"),
            Arc::new(SystemClock),
        ));
        let services = wiring::services(wiring::Parts {
            store,
            clock: Arc::new(SystemClock),
            builder,
            external: crate::builder::external::ExternalBlocks::new("/nowhere".into(), [].into()),
            context,
            starter_files: starter,
            remains,
            agents,
            zones,
            app_urls: crate::domain::app_url::AppUrls {
                scheme: "http".into(),
                domain: "localhost".into(),
            },
            logs: folder.path().join("logs"),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        });
        let login: Login = "admin".parse().unwrap();
        services.users.ensure_first_administrator(&login).await.unwrap();
        let admin = Principal { login, admin: true, groups: [].into(), scope: Scope::Admin };
        let key = "DEMO".parse().unwrap();
        let project =
            Project { key, name: "d".into(), description: String::new(), permissions: vec![] };
        let project = services.projects.create(&admin, project).await.unwrap();
        let spec = json!({"label": "T", "blocks": [
            {"type": "entrypoint", "command": "x", "port": 9000, "expose": true, "label": "Mine"},
        ]});
        let template = services.templates.create(&admin, spec).await.unwrap().head.id;
        let build = services.builds.request(&admin, &template, false).await.unwrap();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Arc::clone(&services.builds).run(shutdown.clone()));
        let built = services.builds.wait(&build.id, Duration::from_secs(20)).await.unwrap();
        assert!(built.image.is_some(), "{built:?}");
        let studio =
            services.studios.create(&admin, &project.key, "mine", &template).await.unwrap().id;
        let short = Duration::from_millis(300);
        let limits = Limits { agent: short, readiness: short, agent_return: short, grace: short };
        let server =
            Self { _folder: folder, services, machine, admin, studio, limits, tasks, shutdown };
        server.reconcile();
        server
    }

    fn reconcile(&self) {
        let context = LaunchContext {
            secrets: StudioSecrets::new([7; 32]),
            drain_grace: Duration::from_secs(1),
        };
        let (agents, files, runtime) = (
            Arc::clone(&self.machine) as _,
            Arc::clone(&self.machine) as _,
            Arc::clone(&self.machine) as _,
        );
        let reconciler = StudioReconciler::new(
            Arc::clone(&self.services),
            agents,
            files,
            runtime,
            context,
            self.limits,
        );
        self.tasks.spawn(reconciler.run(self.shutdown.clone()));
    }

    async fn end_of(&self, task: Task) -> Task {
        let task = self.services.tasks.wait(&task.id, Duration::from_secs(20)).await.unwrap();
        assert!(task.ended_at.is_some(), "{task:?}");
        task
    }

    async fn start(&self) -> Task {
        let task = self.services.studios.start(&self.admin, &self.studio).await.unwrap();
        self.end_of(task).await
    }

    async fn stop(&self) -> Task {
        let task = self.services.studios.stop(&self.admin, &self.studio).await.unwrap();
        self.end_of(task).await
    }

    async fn studio(&self) -> Studio {
        self.services.store.studio(&self.studio).await.unwrap().unwrap()
    }

    async fn until(&self, state: StudioState) -> Studio {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let studio = self.studio().await;
            if studio.state == state {
                return studio;
            }
            assert!(tokio::time::Instant::now() < deadline, "{studio:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_studio_starts_step_by_step_stops_and_starts_again_as_another_incarnation() {
    let server = Server::new(Behaviour::Well).await;
    let task = server.start().await;
    assert_eq!((task.state, task.failure), (TaskState::Succeeded, None));
    assert_eq!(server.machine.did(), ["pod 1", "launch", "fill", "entrypoints"]);
    let events = server.services.tasks.events(&task.id).await.unwrap();
    let mut steps: Vec<&str> = events.iter().map(|event| event.step.as_str()).collect();
    steps.dedup();
    assert_eq!(steps, ["image", "resources", "pod", "agent", "files", "entrypoints", "readiness"]);
    assert_eq!(server.studio().await.state, StudioState::Running);
    assert_eq!(server.stop().await.state, TaskState::Succeeded);
    assert_eq!(server.machine.did(), ["drain", "remove"]);
    assert_eq!(server.studio().await.state, StudioState::Stopped);
    server.start().await;
    assert_eq!(server.machine.did()[0], "pod 2");
}

#[tokio::test]
async fn a_failed_start_says_which_step_and_why_and_leaves_nothing() {
    for (behaviour, words) in [
        (Behaviour::Silent, "agent: the studio's agent did not report"),
        (Behaviour::Dies, "agent: the pod has ended: exit code 1"),
        (Behaviour::NeverReady, "readiness: not ready within 0 s: mine: connection refused"),
    ] {
        let server = Server::new(behaviour).await;
        let task = server.start().await;
        assert_eq!(task.state, TaskState::Failed);
        let why = task.failure.unwrap();
        assert!(why.contains(words), "{why}");
        let studio = server.studio().await;
        assert_eq!((studio.state, studio.failure), (StudioState::Stopped, Some(why)));
        assert!(server.machine.pods.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn files_that_can_not_be_brought_back_are_kept_and_named() {
    let server = Server::new(Behaviour::KeepsFiles).await;
    server.start().await;
    server.machine.did();
    let task = server.stop().await;
    assert_eq!(server.machine.did(), ["drain", "remove, files kept"]);
    assert!(task.result.unwrap()["message"].as_str().unwrap().contains("a file: disk full"));
}

#[tokio::test]
async fn stopping_a_starting_studio_cancels_the_start() {
    let mut server = Server::new(Behaviour::Silent).await;
    server.shutdown.cancel();
    server.tasks.close();
    server.tasks.wait().await;
    server.limits.agent = Duration::from_mins(10);
    (server.tasks, server.shutdown) = (TaskTracker::new(), CancellationToken::new());
    server.reconcile();
    let start = server.services.studios.start(&server.admin, &server.studio).await.unwrap();
    server.until(StudioState::Starting).await;
    let stop = server.services.studios.stop(&server.admin, &server.studio).await.unwrap();
    assert_eq!(server.end_of(start).await.state, TaskState::Cancelled);
    server.until(StudioState::Stopped).await;
    assert!(server.machine.pods.lock().unwrap().is_empty());
    assert_eq!(server.end_of(stop).await.state, TaskState::Succeeded);
}

#[tokio::test]
async fn a_start_that_was_cut_off_goes_on_as_the_same_incarnation() {
    let mut server = Server::new(Behaviour::Silent).await;
    server.shutdown.cancel();
    server.tasks.close();
    server.tasks.wait().await;
    server.limits.agent = Duration::from_mins(10);
    (server.tasks, server.shutdown) = (TaskTracker::new(), CancellationToken::new());
    server.reconcile();
    let start = server.services.studios.start(&server.admin, &server.studio).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while server.machine.pods.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.shutdown.cancel();
    server.tasks.close();
    server.tasks.wait().await;
    *server.machine.behaviour.lock().unwrap() = Behaviour::Well;
    (server.tasks, server.shutdown) = (TaskTracker::new(), CancellationToken::new());
    server.reconcile();
    assert_eq!(server.end_of(start).await.state, TaskState::Succeeded);
    assert_eq!(server.machine.did(), ["pod 1", "launch", "fill", "entrypoints"]);
}

#[tokio::test]
async fn a_pod_that_is_lost_is_told_with_its_reason() {
    let server = Server::new(Behaviour::Well).await;
    server.start().await;
    server.machine.kill_pod(&server.studio).await;
    let studio = server.until(StudioState::Stopped).await;
    assert!(studio.failure.unwrap().contains("killed"));
    assert!(server.machine.did().contains(&"remove, files kept".to_owned()));
}
