//! A small scripted control plane: accepts the agent's TLS connection, and is the gRPC client on it. Real sockets, real
//! processes; the agent is the binary that ships.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the harness")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::agent::v1::actions_client::ActionsClient;
use proto::agent::v1::files_client::FilesClient;
use proto::agent::v1::logs_client::LogsClient;
use proto::agent::v1::process_client::ProcessClient;
use proto::agent::v1::session_client::SessionClient;
use proto::agent::v1::tunnel_client::TunnelClient;
use proto::agent::v1::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::{Channel, Endpoint};

/// Everything in these tests must have happened by then.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that comes by itself.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The accepting side.
pub struct ControlPlane {
    listener: TcpListener,
    tls: TlsAcceptor,
    pub address: String,
    pub ca: String,
}

impl ControlPlane {
    pub async fn new() -> Self {
        Self::at("127.0.0.1:0", &Certificate::new()).await
    }

    pub async fn at(address: &str, certificate: &Certificate) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, tls: certificate.acceptor(), address, ca: certificate.pem.clone() }
    }

    /// The next connection, before Hello.
    pub async fn accept(&self) -> Connection {
        within("the agent dials", async {
            loop {
                let (tcp, _) = self.listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                if let Ok(stream) = self.tls.accept(tcp).await {
                    return Connection::over(stream).await;
                }
            }
        })
        .await
    }

    /// The next connection, as bytes.
    pub async fn raw_accept(&self) -> (TcpStream, std::net::SocketAddr) {
        self.listener.accept().await.unwrap()
    }

    /// The next TLS handshake.
    pub async fn handshake(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = self.raw_accept().await;
        self.tls.accept(tcp).await
    }

    /// The next connection, admitted.
    pub async fn admit(&self) -> Connection {
        let mut connection = self.accept().await;
        connection.hello = connection.hello().await;
        connection.accept("session-key").await;
        connection
    }
}

pub struct Certificate {
    pub pem: String,
    der: rustls_pki_types::CertificateDer<'static>,
    key: rustls_pki_types::PrivateKeyDer<'static>,
}

impl Certificate {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["control-plane".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self { pem: made.cert.pem(), der: made.cert.der().clone(), key: key.into() }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key.clone_key())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(tls))
    }
}

/// One connection of the agent.
#[derive(Clone)]
pub struct Connection {
    pub channel: Channel,
    pub hello: HelloReply,
}

impl Connection {
    async fn over(stream: TlsStream<TcpStream>) -> Self {
        let slot = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
        let channel = Endpoint::from_static("http://agent")
            .http2_adaptive_window(false)
            .initial_connection_window_size(i32::MAX as u32)
            .initial_stream_window_size(1 << 20)
            .connect_with_connector(tower::service_fn(move |_| {
                let stream = slot.lock().unwrap().take();
                async move {
                    stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected))
                }
            }))
            .await
            .unwrap();
        Self { channel, hello: HelloReply::default() }
    }

    pub fn session(&self) -> SessionClient<Channel> {
        SessionClient::new(self.channel.clone())
    }

    pub fn process(&self) -> ProcessClient<Channel> {
        ProcessClient::new(self.channel.clone())
    }

    pub fn logs(&self) -> LogsClient<Channel> {
        LogsClient::new(self.channel.clone())
    }

    pub fn actions(&self) -> ActionsClient<Channel> {
        ActionsClient::new(self.channel.clone())
    }

    pub fn files(&self) -> FilesClient<Channel> {
        FilesClient::new(self.channel.clone())
    }

    pub fn tunnel(&self) -> TunnelClient<Channel> {
        TunnelClient::new(self.channel.clone())
    }

    pub async fn hello(&self) -> HelloReply {
        let request = HelloRequest { protocol: proto::PROTOCOL, ..HelloRequest::default() };
        within("hello", self.session().hello(request)).await.unwrap().into_inner()
    }

    pub async fn accept(&self, session_key: &str) {
        let verdict =
            admit_request::Verdict::Accepted(Accepted { session_key: session_key.to_owned() });
        self.session().admit(AdmitRequest { verdict: Some(verdict) }).await.unwrap();
    }

    pub async fn refuse(&self, reason: Refusal, retry_after_ms: u32) {
        let refused = Refused {
            reason: reason.into(),
            message: "as the test wants".to_owned(),
            retry_after_ms,
        };
        let verdict = admit_request::Verdict::Refused(refused);
        self.session().admit(AdmitRequest { verdict: Some(verdict) }).await.unwrap();
    }

    /// Hands a manifest over and starts it.
    pub async fn launch(&self, manifest: LaunchManifest) {
        let generation = manifest.generation;
        self.session().launch(LaunchRequest { manifest: Some(manifest) }).await.unwrap();
        self.session().start(StartEntrypointsRequest { generation }).await.unwrap();
    }

    pub async fn start(&self, request: StartRequest) -> String {
        within("start", self.process().start(request)).await.unwrap().into_inner().session_id
    }

    /// Runs to the end: output by channel, and exit.
    pub async fn exec(&self, command: &[&str]) -> (Vec<u8>, Vec<u8>, Exit) {
        let session_id = self.start(exec(command)).await;
        let mut output = self.attach(&session_id, 0).await;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match output.next().await {
                output::What::Data(data)
                    if data.channel == proto::agent::v1::Channel::Stderr as i32 =>
                {
                    stderr.extend_from_slice(&data.data);
                }
                output::What::Data(data) => stdout.extend_from_slice(&data.data),
                output::What::Gap(gap) => panic!("{gap:?}"),
                output::What::Exit(exit) => return (stdout, stderr, exit),
            }
        }
    }

    pub async fn attach(&self, session_id: &str, from: u64) -> Viewer {
        let request = AttachRequest { session_id: session_id.to_owned(), from, terminal: None };
        Viewer(within("attach", self.process().attach(request)).await.unwrap().into_inner())
    }

    pub async fn watch(&self, after_seq: u64) -> Watcher {
        let stream = self.session().watch(WatchRequest { after_seq }).await.unwrap().into_inner();
        Watcher { stream, last_seq: after_seq }
    }
}

pub struct Viewer(pub tonic::Streaming<Output>);

impl Viewer {
    pub async fn next(&mut self) -> output::What {
        let message = within("output", self.0.message()).await.unwrap();
        message.expect("Exit is the last message").what.unwrap()
    }

    /// Reads until the text was seen.
    pub async fn expect(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            match self.next().await {
                output::What::Data(data) => seen.push_str(&String::from_utf8_lossy(&data.data)),
                other => panic!("{other:?} before {text:?}; seen: {seen:?}"),
            }
        }
        seen
    }

    pub async fn exit(&mut self) -> Exit {
        loop {
            if let output::What::Exit(exit) = self.next().await {
                assert!(self.0.message().await.unwrap().is_none(), "nothing comes after the exit");
                return exit;
            }
        }
    }
}

pub struct Watcher {
    stream: tonic::Streaming<Event>,
    pub last_seq: u64,
}

impl Watcher {
    pub async fn next(&mut self) -> event::What {
        let event =
            within("an event", self.stream.message()).await.unwrap().expect("events do not end");
        self.last_seq = event.seq;
        event.what.unwrap()
    }

    pub async fn phase(&mut self, phase: Phase) {
        while self.next().await != event::What::Phase(phase.into()) {}
    }

    /// Reads until an entrypoint has reached a level.
    pub async fn entrypoint(&mut self, id: &str, level: ReadinessLevel) -> EntrypointState {
        self.entrypoint_where(id, |state| state.readiness() == level).await
    }

    pub async fn entrypoint_where(
        &mut self,
        id: &str,
        good: impl Fn(&EntrypointState) -> bool,
    ) -> EntrypointState {
        loop {
            if let event::What::Entrypoint(state) = self.next().await
                && state.id == id
                && good(&state)
            {
                return state;
            }
        }
    }

    pub async fn entrypoint_where_any(
        &mut self,
        good: impl Fn(&EntrypointState) -> bool,
    ) -> EntrypointState {
        loop {
            if let event::What::Entrypoint(state) = self.next().await
                && good(&state)
            {
                return state;
            }
        }
    }

    pub async fn sync_wanted(&mut self) -> SyncWanted {
        loop {
            if let event::What::SyncWanted(wanted) = self.next().await {
                return wanted;
            }
        }
    }
}

pub fn exec(command: &[&str]) -> StartRequest {
    StartRequest {
        request_id: format!("{:032x}", rand::random::<u128>()),
        command: command.iter().map(ToString::to_string).collect(),
        ..StartRequest::default()
    }
}

pub fn code(exit: &Exit) -> i32 {
    match exit.how {
        Some(exit::How::Code(code)) => code,
        ref other => panic!("no code: {other:?}"),
    }
}

/// An agent process with folders of its own. Killed when dropped.
pub struct Agent {
    pub child: Child,
    pub dir: tempfile::TempDir,
}

impl Agent {
    pub fn start(control_plane: &ControlPlane) -> Self {
        Self::start_with(control_plane, &[], |_| {})
    }

    /// `wrapper` is a command that runs the agent, such as `unshare`.
    pub fn start_with(
        control_plane: &ControlPlane,
        wrapper: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binary = env!("CARGO_BIN_EXE_atelier-agent");
        let mut words = wrapper.iter().copied().chain([binary]);
        #[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .env("ATELIER_CONTROL_PLANE", &control_plane.address)
            .env("ATELIER_CONTROL_PLANE_NAME", "control-plane")
            .env("ATELIER_CA", &control_plane.ca)
            .env("ATELIER_TOKEN", "token")
            .env("ATELIER_STUDIO_ID", "abcdefgh")
            .env("ATELIER_EPOCH", "1")
            .env("ATELIER_STATE_DIR", dir.path().join("state"))
            .env("K8S_POD_NAME", "pod-1")
            .stdin(Stdio::null());
        change(&mut command);
        Self { child: command.spawn().unwrap(), dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn manifest(&self) -> LaunchManifest {
        manifest(self.dir.path())
    }

    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Its exit code, once it has ended.
    pub async fn ended(&mut self) -> i32 {
        let mut status = None;
        until("the agent ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code().expect("the agent exits by itself")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn manifest(dir: &Path) -> LaunchManifest {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    LaunchManifest {
        generation: 1,
        workspace: path("home/workspace"),
        home: path("home"),
        listen_address: "127.0.0.1".to_owned(),
        drain_grace_ms: 20_000,
        ..LaunchManifest::default()
    }
}

/// An entrypoint that runs a shell script, never restarted, without a port.
pub fn script(id: &str, script: &str) -> Entrypoint {
    Entrypoint {
        id: id.to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        restart: RestartPolicy::Never.into(),
        ..Entrypoint::default()
    }
}

/// A port that nobody holds now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
