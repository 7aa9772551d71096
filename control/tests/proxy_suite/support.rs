//! A proxy with everything real but the people: listener, route table, sockets; sessions and keys are a table.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Query, WebSocketUpgrade},
    http::HeaderMap,
    response::{Html, IntoResponse},
    routing::{any, get},
};
use control::{
    clock::Clock,
    domain::ids::StudioId,
    proxy::{
        Authorizer, Inject, KeyVerdict, Listening, NoTunnels, PortRoute, Principal, Proxy,
        ProxyConfig, ProxyParts, Refusal, Role, RouteState, RouteTable, Scheme, StudioRoute,
        TunnelDialer, Upstream, serve_listener,
    },
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const ID: &str = "abcdefgh";
pub(crate) const PORT: u16 = 8888;
pub(crate) const PREFIX: &str = "/code-studios/DEMO/abcdefgh/8888";
pub(crate) const KEY: &str = "atl_goodkey";

pub(crate) type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time that only the test moves.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<OffsetDateTime>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

impl TestClock {
    pub(crate) fn forward(&self, seconds: i64) {
        *self.0.lock().unwrap() += time::Duration::seconds(seconds);
    }
}

/// Ann owns all studios and is signed in by `atelier-session=ann`; Bob by `atelier-session=bob` and may open nothing.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) gone: Mutex<HashSet<String>>,
}

#[async_trait]
impl Authorizer for People {
    async fn session_from_main_cookie(&self, headers: &HeaderMap) -> Option<Principal> {
        let cookie = headers.get("cookie")?.to_str().ok()?;
        let user = cookie.split("; ").find_map(|pair| pair.strip_prefix("atelier-session="))?;
        let principal = Principal { user: user.parse().ok()?, session: format!("s-{user}") };
        self.session_holds(&principal).await.then_some(principal)
    }

    async fn session_holds(&self, principal: &Principal) -> bool {
        !self.gone.lock().unwrap().contains(&principal.session)
    }

    async fn may_open(&self, who: &Principal, studio: &StudioRoute, _: u16) -> Result<(), Refusal> {
        if who.user == studio.owner {
            return Ok(());
        }
        Err(Refusal { missing: format!("Only {} may open this studio.", studio.owner) })
    }

    async fn api_key(&self, key: &str) -> KeyVerdict {
        match key {
            KEY => KeyVerdict::Valid(Principal {
                user: "ann".parse().unwrap(),
                session: "k-ann".to_owned(),
            }),
            "atl_bobskey" => KeyVerdict::Valid(Principal {
                user: "bob".parse().unwrap(),
                session: "k-bob".to_owned(),
            }),
            _ if key.starts_with("atl_") => KeyVerdict::Invalid,
            _ => KeyVerdict::NotOurs,
        }
    }
}

/// Tasks of a test: ended with it.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            cancel.run_until_cancelled(task).await;
        });
    }
}

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) shared_address: SocketAddr,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) people: Arc<People>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) proxy: Proxy,
    pub(crate) tasks: Tasks,
    /// Ends the listeners, and nothing else.
    pub(crate) stop: CancellationToken,
}

/// A page of the main origin that signs Ann in and, with `?frame=`, shows an application in a frame; with `?to=` it leads there.
async fn start_page(Query(asked): Query<BTreeMap<String, String>>) -> impl IntoResponse {
    let page = match (asked.get("frame"), asked.get("to")) {
        (Some(frame), _) => format!("<iframe src=\"{frame}\"></iframe>"),
        (None, Some(to)) => format!("<script>location = \"{to}\"</script>"),
        (None, None) => String::new(),
    };
    ([("set-cookie", "atelier-session=ann; Path=/; HttpOnly; SameSite=Lax")], Html(page))
}

/// A `WebSocket` of the control plane's own.
async fn shell(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            socket.send(message).await.ok();
        }
    })
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.tasks.cancel.cancel();
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, Arc::new(NoTunnels)).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(&mut ProxyConfig),
        tunnels: Arc<dyn TunnelDialer>,
    ) -> Self {
        let tasks = Tasks { tracker: TaskTracker::new(), cancel: CancellationToken::new() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shared_address) =
            (listener.local_addr().unwrap(), shared.local_addr().unwrap());
        let mut config = ProxyConfig::new([9; 32]);
        change(&mut config);
        if config.origins.shared_port.is_some() {
            config.origins.shared_port = Some(shared_address.port());
            config.origins.main_url = Some(format!("http://localhost:{}", address.port()));
        }
        let routes = Arc::new(RouteTable::default());
        let people = Arc::new(People::default());
        let start = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap();
        let clock = Arc::new(TestClock(Mutex::new(start)));
        let parts = ProxyParts {
            routes: routes.clone(),
            authorizer: people.clone(),
            tunnels,
            clock: clock.clone(),
            tracker: tasks.tracker.clone(),
            cancel: tasks.cancel.clone(),
        };
        let proxy = Proxy::new(config, parts).unwrap();
        let main = Router::new()
            .route("/start", get(start_page))
            .route("/shell", any(shell))
            .fallback(|uri: axum::http::Uri| async move { format!("control plane: {uri}") });
        let stop = tasks.cancel.child_token();
        for (listener, role) in [(listener, Role::Main), (shared, Role::Shared)] {
            let listening = Listening { scheme: Scheme::Http, role };
            let stop = stop.clone();
            tasks.tracker.spawn(serve_listener(
                listener,
                proxy.clone(),
                main.clone(),
                listening,
                stop,
            ));
        }
        Self { address, shared_address, routes, people, clock, proxy, tasks, stop }
    }

    /// Publishes Ann's running studio with these ports.
    pub(crate) fn studio(&self, ports: impl IntoIterator<Item = (u16, PortRoute)>) {
        self.routes.set(studio(ID, RouteState::Running, ports));
    }

    /// An upstream that treats each connection by `serve`; published as the studio's port.
    pub(crate) async fn upstream<F>(&self, subpath: &str, serve: F) -> SocketAddr
    where
        F: Fn(TcpStream, usize) -> Task + Send + 'static,
    {
        let address = self.listen(serve).await;
        self.studio([(PORT, port(address, subpath))]);
        address
    }

    /// A listener that treats each connection by `serve`; the number counts connections from 0.
    pub(crate) async fn listen<F>(&self, serve: F) -> SocketAddr
    where
        F: Fn(TcpStream, usize) -> Task + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tasks.spawn(serve(stream, number));
            }
        });
        address
    }

    /// An upstream that answers every request with the request itself, head and body.
    pub(crate) async fn echo(&self, subpath: &str) -> SocketAddr {
        self.upstream(subpath, |stream, _| Box::pin(echo(stream))).await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own, with the key, to the application's origin.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n",
            self.app_host()
        );
        self.connect().await.ask(&request).await
    }

    /// One request as it stands, on a connection of its own.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        self.connect().await.ask(request).await
    }

    pub(crate) fn app_host(&self) -> String {
        format!("{PORT}--{ID}.localhost:{}", self.address.port())
    }

    pub(crate) fn app_origin(&self) -> String {
        format!("http://{}", self.app_host())
    }

    pub(crate) fn main_host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }
}

pub(crate) fn studio(
    id: &str,
    state: RouteState,
    ports: impl IntoIterator<Item = (u16, PortRoute)>,
) -> StudioRoute {
    let ports: BTreeMap<_, _> = ports.into_iter().collect();
    StudioRoute {
        project: "DEMO".parse().unwrap(),
        id: id.parse::<StudioId>().unwrap(),
        name: "Lab".to_owned(),
        owner: "ann".parse().unwrap(),
        state,
        first_tool: ports.keys().next().copied(),
        ports,
    }
}

pub(crate) fn port(address: SocketAddr, subpath: &str) -> PortRoute {
    let subpath = subpath.parse().unwrap();
    PortRoute { upstream: Upstream::Direct(address), subpath, secret: None, ready: true }
}

pub(crate) fn secret(headers: &[(&'static str, &'static str)]) -> Inject {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    Inject { headers, query: None }
}

/// Fails the test when something takes too long.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("this takes milliseconds")
}

/// An HTTP/1.1 client that sends and sees raw bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// Values of a header that the echoing application saw.
    pub(crate) fn seen(&self, name: &str) -> Vec<&str> {
        let head = self.body.split("\r\n\r\n").next().unwrap();
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The request target that the echoing application saw.
    pub(crate) fn target(&self) -> &str {
        self.body.lines().next().unwrap_or_default().split(' ').nth(1).unwrap_or_default()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer(request.starts_with("HEAD")).await
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        self.buffer.reserve(64 * 1024);
        soon(self.stream.read_buf(&mut self.buffer)).await.is_ok_and(|read| read > 0)
    }

    /// Reads up to and with `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|w| w == mark.as_bytes()) {
                let rest = self.buffer.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            assert!(
                self.more().await,
                "{mark:?} not in {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Throws away up to `most` bytes; how many there were.
    pub(crate) async fn skip(&mut self, most: usize) -> usize {
        if self.buffer.is_empty() && !self.more().await {
            return 0;
        }
        let part = most.min(self.buffer.len());
        self.buffer.drain(..part);
        part
    }

    /// Whether the other side closes without another byte.
    pub(crate) async fn closes(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }

    async fn exactly(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            assert!(self.more().await, "the body ends early");
        }
        let rest = self.buffer.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap()
    }

    /// Reads one whole answer. Chunked bodies are given with their trailers after an empty line, if there are any.
    pub(crate) async fn answer(&mut self, headless_body: bool) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        if headless_body || matches!(status, 101 | 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                let size = usize::from_str_radix(self.until("\r\n").await.trim(), 16).unwrap();
                if size == 0 {
                    break;
                }
                answer.body += &self.exactly(size).await;
                assert_eq!(self.exactly(2).await, "\r\n");
            }
            loop {
                let trailer = self.until("\r\n").await;
                if trailer == "\r\n" {
                    return answer;
                }
                answer.body += "\n";
                answer.body += trailer.trim();
            }
        }
        if let Ok(length) = answer.header("content-length").parse() {
            answer.body = self.exactly(length).await;
        } else {
            while self.more().await {}
            answer.body = String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
        }
        answer
    }
}

/// The server's side of a connection, for upstreams that want to see raw bytes.
pub(crate) fn server(stream: TcpStream) -> Client {
    Client { stream, buffer: Vec::new() }
}

impl Client {
    /// Reads a request: head, then a body by its length or chunks (as raw text). `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<(String, String)> {
        while !self.buffer.windows(4).any(|w| w == b"\r\n\r\n") {
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
        let head = self.until("\r\n\r\n").await;
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let body = if lower.contains("transfer-encoding: chunked") {
            let mut body = String::new();
            loop {
                let line = self.until("\r\n").await;
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                body += &line;
                if size == 0 {
                    loop {
                        let trailer = self.until("\r\n").await;
                        body += &trailer;
                        if trailer == "\r\n" {
                            break;
                        }
                    }
                    break body;
                }
                body += &self.exactly(size + 2).await;
            }
        } else {
            self.exactly(length.unwrap_or(0)).await
        };
        Some((head, body))
    }

    pub(crate) async fn reply(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"))
            .await;
    }
}

async fn echo(stream: TcpStream) {
    let mut server = server(stream);
    while let Some((head, body)) = server.request().await {
        let text = format!("{head}{body}");
        let visible = if head.starts_with("HEAD") { "" } else { text.as_str() };
        let length = text.len();
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{visible}")).await;
    }
}
