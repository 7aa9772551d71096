//! A control plane's agent side on a real store, and real agents as child processes.

#![expect(clippy::disallowed_methods, reason = "the tests start and kill real agents")]
#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use control::{
    agents::{AgentHub, ca::Ca},
    app::{agent_calls::SyncWish, ports::Agents as _},
    domain::{
        agent::AgentPhase,
        ids::StudioId,
        launch::{Action, Concurrency, Entrypoint, Launch, RestartPolicy},
        project::Project,
        studio::{DesiredState, Studio, StudioState},
    },
    store::{Projects as _, Store, Studios as _, sqlite::Sqlite},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Fails a test that would hang.
pub(crate) async fn until<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(1), future).await.expect("it takes too long")
}

pub(crate) struct Hub {
    pub(crate) agents: Arc<AgentHub>,
    pub(crate) address: SocketAddr,
    #[expect(dead_code, reason = "kept open: agents' wishes wait in it")]
    wishes: mpsc::Receiver<SyncWish>,
    folder: tempfile::TempDir,
    store: Arc<Sqlite>,
    closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("db")).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(folder, store, listener)
    }

    fn on(folder: tempfile::TempDir, store: Arc<Sqlite>, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (agents, wishes) = AgentHub::new(
            Ca::open(folder.path()).unwrap(),
            address.to_string(),
            store.clone() as Arc<dyn Store>,
            tasks.clone(),
            closing.clone(),
        );
        let listening = agents.clone();
        tasks.spawn(async move { listening.listen(listener).await });
        Self { agents, address, wishes, folder, store, closing, tasks }
    }

    /// As after a kill: nothing but the store and the authority is the same.
    pub(crate) async fn restart(self) -> Self {
        self.closing.cancel();
        self.tasks.close();
        until(self.tasks.wait()).await;
        drop(self.agents);
        let listener = TcpListener::bind(self.address).await.unwrap();
        Self::on(self.folder, self.store, listener)
    }

    pub(crate) async fn studio(&self) -> StudioId {
        let project = Project {
            key: "DEMO".parse().unwrap(),
            name: "Demo".into(),
            description: String::new(),
            permissions: Vec::new(),
        };
        self.store.create_project(&project).await.unwrap();
        let studio = Studio {
            id: StudioId::random(),
            project: project.key,
            name: "one".into(),
            owner: "alice".parse().unwrap(),
            template: control::domain::ids::TemplateId::random(),
            template_version: None,
            build: None,
            desired: DesiredState::Running,
            state: StudioState::Starting,
            epoch: 1,
            task: None,
            failure: None,
            created_at: time::OffsetDateTime::now_utc(),
            started_at: None,
        };
        self.store.create_studio(&studio).await.unwrap();
        studio.id
    }

    pub(crate) async fn connected(&self, studio: &StudioId) {
        let mut view = self.agents.watch(studio);
        until(view.wait_for(|view| view.connected)).await.unwrap();
    }

    /// Launches nothing but a workspace.
    pub(crate) async fn ready(&self, studio: &StudioId, agent: &Agent) {
        self.connected(studio).await;
        self.agents.launch(studio, &launch(agent, 1)).await.unwrap();
        self.agents.start_entrypoints(studio, 1).await.unwrap();
        let mut view = self.agents.watch(studio);
        until(view.wait_for(|view| view.phase == AgentPhase::Running)).await.unwrap();
    }

    /// A TLS connection that says nothing.
    pub(crate) async fn tls(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        use rustls_pki_types::pem::PemObject as _;
        let env: BTreeMap<String, String> = self.agents.connection_env().into_iter().collect();
        let mut roots = rustls::RootCertStore::empty();
        let pem = env["ATELIER_CA"].as_bytes();
        roots.add(rustls_pki_types::CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let name = env["ATELIER_CONTROL_PLANE_NAME"].clone().try_into().unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.unwrap()
    }
}

/// A real agent.
pub(crate) struct Agent {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
}

impl Agent {
    pub(crate) async fn start(hub: &Hub, studio: &StudioId, epoch: u64) -> Self {
        let token = hub.agents.issue_token(studio, epoch).await.unwrap();
        Self::start_with(hub, studio, epoch, &token, &format!("pod-{epoch}"))
    }

    pub(crate) fn start_with(
        hub: &Hub,
        studio: &StudioId,
        epoch: u64,
        token: &str,
        pod: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(binary())
            .envs(hub.agents.connection_env())
            .env("ATELIER_TOKEN", token)
            .env("ATELIER_STUDIO_ID", studio.as_str())
            .env("ATELIER_EPOCH", epoch.to_string())
            .env("ATELIER_STATE_DIR", folder.path().join("state"))
            .env("K8S_POD_NAME", pod)
            .env("K8S_POD_ID", pod)
            .env("HOME", folder.path().join("home"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        Self { child, folder }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until it has logged something.
    pub(crate) async fn says(&self, text: &str) {
        until(async {
            while !self.log().contains(text) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) async fn ended(&mut self) {
        until(async {
            while self.child.try_wait().unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join("atelier-agent")
}

pub(crate) fn launch(agent: &Agent, generation: u64) -> Launch {
    let at = |name: &str| agent.folder.path().join(name).to_str().unwrap().to_owned();
    Launch {
        generation,
        env: BTreeMap::new(),
        expanded_env: BTreeMap::new(),
        workspace: at("workspace"),
        home: at("home"),
        mounts: Vec::new(),
        entrypoints: Vec::new(),
        actions: Vec::new(),
        listen_address: "127.0.0.1".parse().unwrap(),
        tunnel_ports: Vec::new(),
        drain_grace: Duration::from_secs(5),
        log_limit_bytes: 1 << 20,
    }
}

pub(crate) fn entrypoint(id: &str, command: &[&str]) -> Entrypoint {
    Entrypoint {
        id: id.to_owned(),
        label: id.to_owned(),
        command: command.iter().map(|&part| part.to_owned()).collect(),
        working_folder: String::new(),
        env: BTreeMap::new(),
        port: None,
        exposed: false,
        readiness: None,
        restart: RestartPolicy::Never,
        stop_grace: Duration::from_secs(1),
    }
}

pub(crate) fn action(id: &str, command_line: &str) -> Action {
    Action {
        id: id.to_owned(),
        name: id.to_owned(),
        command_line: command_line.to_owned(),
        working_folder: String::new(),
        timeout: None,
        concurrency: Concurrency::Refuse,
    }
}
