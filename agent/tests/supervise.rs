//! Entrypoints: variables, readiness, restarts, ports, logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, Connection, ControlPlane, free_port, script, until, within};
use proto::agent::v1::{
    ControlEntrypointRequest, Entrypoint, EnvVar, HttpProbe, LaunchManifest, ReadLogRequest,
    Readiness, ReadinessLevel, RestartPolicy, TunnelData, control_entrypoint_request::Verb,
    exit::How, log_message, readiness::Probe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Studio {
    _control_plane: ControlPlane,
    agent: Agent,
    connection: Connection,
}

async fn studio(change: impl FnOnce(&mut LaunchManifest)) -> Studio {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    change(&mut manifest);
    connection.launch(manifest).await;
    Studio { _control_plane: control_plane, agent, connection }
}

impl Studio {
    async fn log(&self, id: &str) -> String {
        let request = ReadLogRequest { entrypoint_id: id.to_owned(), ..ReadLogRequest::default() };
        self.read_log(request).await
    }

    async fn read_log(&self, request: ReadLogRequest) -> String {
        let mut stream = self.connection.logs().read(request).await.unwrap().into_inner();
        let mut text = String::new();
        while let Some(message) = within("a log", stream.message()).await.unwrap() {
            if let Some(log_message::What::Chunk(chunk)) = message.what {
                text.push_str(&String::from_utf8_lossy(&chunk.data));
            }
        }
        text
    }

    async fn control(&self, id: &str, verb: Verb) {
        let request = ControlEntrypointRequest { id: id.to_owned(), verb: verb.into() };
        within("control", self.connection.session().control_entrypoint(request)).await.unwrap();
    }
}

/// A web server in a few words of Python: answers what the script says.
fn server(id: &str, port: u16, before: &str, status: &str) -> Entrypoint {
    let python = format!(
        "import http.server, os\n{before}\nclass H(http.server.BaseHTTPRequestHandler):\n def do_GET(self):\n  \
         print(self.path, flush=True); self.send_response({status}); self.end_headers()\n\
         http.server.HTTPServer((os.environ['ATELIER_LISTEN_ADDRESS'], {port}), H).serve_forever()"
    );
    Entrypoint {
        id: id.to_owned(),
        command: vec!["python3".to_owned(), "-u".to_owned(), "-c".to_owned(), python],
        port: port.into(),
        restart: RestartPolicy::Always.into(),
        stop_grace_ms: 2_000,
        ..Entrypoint::default()
    }
}

fn http(url: &str, base_url: &str) -> Readiness {
    let probe =
        HttpProbe { url: url.to_owned(), base_url: base_url.to_owned(), ..HttpProbe::default() };
    Readiness { probe: Some(Probe::Http(probe)), period_ms: 50, timeout_ms: 1_000 }
}

#[tokio::test]
async fn command_lines_are_expanded_and_variables_are_theirs() {
    let studio = studio(|manifest| {
        let variable =
            |name: &str, value: &str| EnvVar { name: name.to_owned(), value: value.to_owned() };
        manifest.env = vec![variable("DKU_CODE_STUDIO_BROWSER_PATH", "/web/x_${K8S_POD_NAME}")];
        manifest.expanded_env = vec![variable("ATELIER_BASE_PATH", "/web/x_${K8S_POD_NAME}")];
        let line =
            "echo '${K8S_POD_NAME}' '${ATELIER_BASE_PATH}' $OWN \"$DKU_CODE_STUDIO_BROWSER_PATH\"";
        let mut main = script("main", line);
        main.env = vec![variable("OWN", "own")];
        manifest.entrypoints = vec![main];
    })
    .await;
    let state = studio.connection.watch(0).await.entrypoint("main", ReadinessLevel::Exited).await;
    assert_eq!(state.last_exit.unwrap().how, Some(How::Code(0)));
    // Its output was read to the end before its exit was told.
    assert_eq!(studio.log("main").await, "pod-1 /web/x_pod-1 own /web/x_${K8S_POD_NAME}\n");
}

#[tokio::test]
async fn readiness_follows_the_http_probe() {
    let port = free_port();
    let studio = studio(|manifest| {
        let status = "200 if os.path.exists('good') else 503";
        let mut main = server("main", port, "", status);
        main.readiness = Some(http("${baseUrl}/api/status", "/code-studios/P/abcdefgh/1/"));
        manifest.entrypoints = vec![main];
    })
    .await;
    let mut events = studio.connection.watch(0).await;
    let state = events.entrypoint_where("main", |state| state.reason.contains("503")).await;
    assert_eq!(state.readiness(), ReadinessLevel::Listening);
    std::fs::write(studio.agent.path("home/workspace/good"), "").unwrap();
    events.entrypoint("main", ReadinessLevel::Ready).await;
    // What it has printed arrives when its pipe is read, not when it is ready.
    let request =
        ReadLogRequest { entrypoint_id: "main".into(), follow: true, ..ReadLogRequest::default() };
    let mut log = studio.connection.logs().read(request).await.unwrap().into_inner();
    let mut text = String::new();
    while !text.contains("/code-studios/P/abcdefgh/1/api/status\n") {
        let message = within("the request in the log", log.message()).await.unwrap().unwrap();
        if let Some(log_message::What::Chunk(chunk)) = message.what {
            text.push_str(&String::from_utf8_lossy(&chunk.data));
        }
    }
}

#[tokio::test]
async fn one_that_exits_at_once_is_started_again_ever_later_and_keeps_its_log() {
    let studio = studio(|manifest| {
        let mut main = script("main", "echo life; exit 3");
        main.restart = RestartPolicy::OnFailure.into();
        manifest.entrypoints = vec![main];
    })
    .await;
    let mut events = studio.connection.watch(0).await;
    let first = events.entrypoint("main", ReadinessLevel::BackingOff).await;
    assert_eq!(first.last_exit.unwrap().how, Some(How::Code(3)));
    assert!(first.reason.contains("exited with code 3; next start in 0.5 s"), "{}", first.reason);
    let second = events.entrypoint_where("main", |state| state.restarts == 2).await;
    assert!(second.reason.contains("next start in 1.0 s"), "{}", second.reason);
    assert_eq!(studio.log("main").await, "life\nlife\n");
    let tail =
        ReadLogRequest { entrypoint_id: "main".into(), tail_lines: 1, ..ReadLogRequest::default() };
    assert_eq!(studio.read_log(tail).await, "life\n");
    let from =
        ReadLogRequest { entrypoint_id: "main".into(), from: 7, ..ReadLogRequest::default() };
    assert_eq!(studio.read_log(from).await, "fe\n");
}

#[tokio::test]
async fn one_that_never_listens_says_why_it_is_not_ready() {
    let port = free_port();
    let studio = studio(|manifest| {
        let mut main = script("main", "exec sleep 1000");
        main.port = port.into();
        manifest.entrypoints = vec![main];
    })
    .await;
    let mut events = studio.connection.watch(0).await;
    let state = events.entrypoint_where("main", |state| !state.reason.is_empty()).await;
    assert_eq!(state.readiness(), ReadinessLevel::Started);
    assert!(
        state.reason.contains(&format!("nobody listens on 127.0.0.1:{port}")),
        "{}",
        state.reason
    );
}

#[tokio::test]
async fn who_holds_the_port_is_named_and_waited_for() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let studio =
        studio(|manifest| manifest.entrypoints = vec![server("main", port, "", "200")]).await;
    let mut events = studio.connection.watch(0).await;
    let state = events.entrypoint("main", ReadinessLevel::BackingOff).await;
    let us = format!("port {port} is already in use by process {}", std::process::id());
    assert!(state.reason.contains(&us) && state.reason.contains("0.0.0.0"), "{}", state.reason);
    assert_eq!(state.pid, 0);
    drop(listener);
    events.entrypoint("main", ReadinessLevel::Ready).await;
}

#[tokio::test]
async fn one_that_can_not_be_started_says_so() {
    let studio = studio(|manifest| {
        let mut main = script("main", "");
        main.command = vec!["/does/not/exist".to_owned()];
        manifest.entrypoints = vec![main];
    })
    .await;
    let state = studio.connection.watch(0).await.entrypoint("main", ReadinessLevel::Exited).await;
    assert!(state.reason.contains("/does/not/exist"), "{}", state.reason);
}

#[tokio::test]
async fn stop_start_and_restart_by_request() {
    let studio = studio(|manifest| {
        let mut main = script("main", "echo up; exec sleep 1000");
        main.restart = RestartPolicy::Always.into();
        manifest.entrypoints = vec![main];
    })
    .await;
    let mut events = studio.connection.watch(0).await;
    let first = events.entrypoint("main", ReadinessLevel::Ready).await;
    studio.control("main", Verb::Restart).await;
    let second = events.entrypoint("main", ReadinessLevel::Ready).await;
    assert!(second.pid != first.pid && second.restarts == 1, "{second:?}");
    studio.control("main", Verb::Stop).await;
    let stopped = events.entrypoint("main", ReadinessLevel::Stopped).await;
    let stopped =
        if stopped.restarts == 1 && stopped.pid == 0 { stopped } else { panic!("{stopped:?}") };
    assert_eq!(stopped.last_exit.unwrap().how, Some(How::Signal(15)));
    assert!(!std::path::Path::new(&format!("/proc/{}", second.pid)).exists());
    studio.control("main", Verb::Start).await;
    events.entrypoint("main", ReadinessLevel::Ready).await;
}

#[tokio::test]
async fn signals_to_the_agent_reach_the_programs() {
    let studio = studio(|manifest| {
        let line = "trap 'echo again' HUP; echo up; while :; do sleep 0.02; done";
        manifest.entrypoints = vec![script("main", line)];
    })
    .await;
    let request =
        ReadLogRequest { entrypoint_id: "main".into(), follow: true, ..ReadLogRequest::default() };
    let mut log = studio.connection.logs().read(request).await.unwrap().into_inner();
    let mut text = String::new();
    while !text.contains("again") {
        let message = within("the log", log.message()).await.unwrap().unwrap();
        if let Some(log_message::What::Chunk(chunk)) = message.what {
            text.push_str(&String::from_utf8_lossy(&chunk.data));
        }
        if text == "up\n" {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(studio.agent.child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_generation_changes_only_what_differs() {
    let studio = studio(|manifest| {
        manifest.entrypoints =
            ["kept", "changed", "gone"].map(|id| script(id, "exec sleep 1000")).to_vec();
    })
    .await;
    let mut events = studio.connection.watch(0).await;
    let mut pids = std::collections::HashMap::new();
    while pids.len() < 3 {
        let state =
            events.entrypoint_where_any(|state| state.readiness() == ReadinessLevel::Ready).await;
        pids.insert(state.id.clone(), state.pid);
    }
    let mut manifest = studio.agent.manifest();
    manifest.generation = 2;
    manifest.entrypoints = vec![
        script("kept", "exec sleep 1000"),
        script("changed", "exec sleep 2000"),
        script("new", "exec sleep 1000"),
    ];
    studio.connection.launch(manifest).await;
    events.entrypoint("new", ReadinessLevel::Ready).await;
    let alive = |id: &str| std::path::Path::new(&format!("/proc/{}", pids[id])).exists();
    until("old ones are gone", || !alive("changed") && !alive("gone")).await;
    assert!(alive("kept"));
}

#[tokio::test]
async fn tunnels_lead_to_the_studios_ports_only() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    let closed = u32::from(free_port());
    let studio = studio(|manifest| manifest.tunnel_ports = vec![port, closed]).await;
    let open = async |port: u32, data: &'static [u8]| {
        let messages = tokio_stream::iter([TunnelData { port, data: data.into() }]);
        studio.connection.tunnel().open(messages).await
    };
    assert_eq!(open(22, b"").await.unwrap_err().code(), tonic::Code::PermissionDenied);
    assert_eq!(open(closed, b"").await.unwrap_err().code(), tonic::Code::Unavailable);
    #[expect(clippy::disallowed_methods, reason = "joined below")]
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        stream.write_all(&[b"got ", got.as_slice()].concat()).await.unwrap();
    });
    let mut back = open(port, b"ping").await.unwrap().into_inner();
    let mut got = Vec::new();
    while let Some(data) = within("an answer", back.message()).await.unwrap() {
        got.extend_from_slice(&data.data);
    }
    assert_eq!(got, b"got ping", "one half ended before the other began");
    served.await.unwrap();
}
