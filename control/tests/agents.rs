//! Real agents over TLS: admission, calls, loss and return.
//!
//! Needs the agent's binary beside this test: `cargo build -p agent`.

#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

#[path = "support/agents.rs"]
mod support;

use std::{collections::BTreeMap, time::Duration};

use control::{
    app::{
        AppError,
        agent_calls::{
            EntrypointCalls as _, FileCalls as _, Input, SessionCalls as _, SyncCalls as _,
        },
        ports::Agents as _,
    },
    domain::{
        agent::AgentPhase,
        ids::StudioId,
        session::{Channel, Exit, LogPiece, LogQuery, Output, SessionSpec, TerminalSize},
    },
};
use futures_util::StreamExt as _;
use support::{Agent, Hub, launch, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

async fn exec(hub: &Hub, studio: &StudioId, command: &[&str]) -> (Vec<u8>, Vec<u8>, Exit) {
    let spec = SessionSpec {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        lossless: true,
        ..SessionSpec::default()
    };
    let request = control::auth::token::random();
    let session = hub.agents.start_session(studio, &request, &spec).await.unwrap();
    let pieces = hub.agents.attach(studio, &session, 0, None).await.unwrap();
    collect(pieces).await
}

async fn collect(
    mut pieces: control::app::agent_calls::Pieces<Output>,
) -> (Vec<u8>, Vec<u8>, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.next().await {
        match piece.unwrap() {
            Output::Data { channel: Channel::Stderr, data, .. } => err.extend(data),
            Output::Data { data, .. } => out.extend(data),
            Output::Gap { from, to } => panic!("bytes {from} to {to} are missing"),
            Output::Exit(exit) => return (out, err, exit),
        }
    }
    panic!("the stream ended without an exit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_with_exact_output_and_exit() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;

    let (out, err, exit) =
        exec(&hub, &studio, &["sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    assert_eq!((out.as_slice(), err.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(exit.code, Some(3));
    let (out, _, exit) = exec(&hub, &studio, &["seq", "1", "100000"]).await;
    let expected = (1..=100_000).map(|n| n.to_string() + "\n").collect::<String>();
    assert!(out == expected.as_bytes(), "{} of {} bytes", out.len(), expected.len());
    assert_eq!(exit.code, Some(0));
    let (_, _, exit) = exec(&hub, &studio, &["sh", "-c", "kill -9 $$"]).await;
    assert_eq!(exit.signal, Some(9));
    let (_, _, exit) = exec(&hub, &studio, &["/does/not/exist"]).await;
    assert!(exit.not_started.is_some() || exit.code == Some(127), "{exit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_takes_input_and_a_new_size() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;
    let spec = SessionSpec {
        terminal: Some(TerminalSize { columns: 80, rows: 24 }),
        stdin: true,
        ..SessionSpec::default()
    };
    let session = hub.agents.start_session(&studio, "shell-1", &spec).await.unwrap();
    // The same request again is the same session.
    assert_eq!(hub.agents.start_session(&studio, "shell-1", &spec).await.unwrap(), session);
    let size = TerminalSize { columns: 101, rows: 33 };
    hub.agents.resize(&studio, &session, size).await.unwrap();
    let (send, input) = mpsc::channel(4);
    let agents = hub.agents.clone();
    let (at, of) = (studio.clone(), session.clone());
    let typing = tokio_util::task::TaskTracker::new()
        .spawn(async move { agents.input(&at, &of, input).await });
    let typed = Input { data: "stty size; exit 7\n".into(), end: false };
    send.send(typed).await.unwrap();
    let pieces = hub.agents.attach(&studio, &session, 0, None).await.unwrap();
    let (out, _, exit) = timeout(Duration::from_secs(20), collect(pieces)).await.unwrap();
    let out = String::from_utf8_lossy(&out);
    assert!(out.contains("33 101"), "{out}");
    assert_eq!(exit.code, Some(7));
    drop(send);
    // Either all was taken, or the session had ended by then: never a hang.
    timeout(Duration::from_secs(20), typing).await.unwrap().unwrap().ok();
    let sessions = hub.agents.sessions(&studio).await.unwrap();
    assert_eq!(sessions.iter().filter(|one| one.id == session && one.terminal).count(), 1);
    hub.agents.acknowledge(&studio, &session).await.unwrap();
    assert!(hub.agents.sessions(&studio).await.unwrap().iter().all(|one| one.id != session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entrypoints_actions_logs_files_and_tunnels_answer() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let agent = Agent::start(&hub, &studio, 1).await;
    hub.connected(&studio).await;
    let mut launch = launch(&agent, 1);
    launch.entrypoints.push(support::entrypoint(
        "noisy",
        &["sh", "-c", "echo hello from noisy; exec sleep 1000"],
    ));
    launch.actions.push(support::action("greet", "echo \"$ATELIER_INPUT_WHO\"; exit 4"));
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = echo.local_addr().unwrap().port();
    launch.tunnel_ports.push(port);
    hub.agents.launch(&studio, &launch).await.unwrap();
    hub.agents.start_entrypoints(&studio, 1).await.unwrap();
    let mut view = hub.agents.watch(&studio);
    until(view.wait_for(|view| view.phase == AgentPhase::Running && !view.entrypoints.is_empty()))
        .await
        .unwrap();

    let run = hub
        .agents
        .run_action(&studio, "run-1", "greet", vec![("WHO".into(), "$(id) ; x".into())])
        .await
        .unwrap();
    let pieces = hub.agents.attach(&studio, &run.session, 0, None).await.unwrap();
    let (out, _, exit) = collect(pieces).await;
    assert_eq!((String::from_utf8_lossy(&out).as_ref(), exit.code), ("$(id) ; x\n", Some(4)));

    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut log = hub.agents.read_log(&studio, "noisy", &query).await.unwrap();
    let Some(Ok(LogPiece::Chunk { data, .. })) = until(log.next()).await else {
        panic!("no log");
    };
    assert_eq!(data, "hello from noisy\n");
    let missing = hub.agents.read_log(&studio, "nobody", &LogQuery::default()).await;
    assert!(matches!(missing, Err(AppError::NotFound { .. })), "{:?}", missing.err());

    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let pieces = futures_util::stream::iter([Ok(content.clone().into())]).boxed();
    let written = hub.agents.write_file(&studio, b"a/../big", 0o640, pieces).await;
    drop(written);
    let pieces = futures_util::stream::iter([Ok(content.clone().into())]).boxed();
    let written = hub.agents.write_file(&studio, b"big", 0o640, pieces).await.unwrap();
    assert_eq!(written.size, content.len() as u64);
    let mut read = hub.agents.read_file(&studio, b"big", 10, Some(500_000)).await.unwrap();
    let mut got = Vec::new();
    while let Some(piece) = read.next().await {
        got.extend(piece.unwrap());
    }
    assert!(got == content.get(10..500_010).unwrap(), "{} bytes", got.len());
    let (files, more) = hub.agents.list_files(&studio, b".", b"", 100).await.unwrap();
    assert!(!more && files.iter().any(|file| file.name == b"big"));
    // A write that breaks leaves nothing.
    let broken = [Ok("half".into()), Err(AppError::conflict("the sender went away"))];
    let pieces = futures_util::stream::iter(broken).boxed();
    assert!(hub.agents.write_file(&studio, b"half", 0o640, pieces).await.is_err());
    assert!(matches!(hub.agents.stat(&studio, b"half").await, Err(AppError::NotFound { .. })));

    let mut tunnel = hub.agents.tunnel(&studio, port).await.unwrap();
    let (mut accepted, _) = until(echo.accept()).await.unwrap();
    tunnel.write_all(b"ping").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut got = Vec::new();
    until(accepted.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"ping");
    accepted.write_all(b"pong").await.unwrap();
    drop(accepted);
    got.clear();
    until(tunnel.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"pong");
    drop(echo);
    let refused = hub.agents.tunnel(&studio, port).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let forbidden = hub.agents.tunnel(&studio, 22).await.unwrap_err();
    assert_eq!(forbidden.kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_comes_back_to_a_new_control_plane_and_nothing_stops() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;
    let spec = SessionSpec {
        command: ["sh", "-c", "while ! [ -e go ]; do sleep 0.05; done; echo done"]
            .map(str::to_owned)
            .into(),
        ..SessionSpec::default()
    };
    let session = hub.agents.start_session(&studio, "long", &spec).await.unwrap();
    let hub = hub.restart().await;
    hub.connected(&studio).await;
    assert_eq!(hub.agents.incarnation(&studio).unwrap().epoch, 1);
    exec(&hub, &studio, &["touch", "go"]).await;
    let pieces = hub.agents.attach(&studio, &session, 0, None).await.unwrap();
    let (out, _, exit) = collect(pieces).await;
    assert_eq!((out.as_slice(), exit.code), (&b"done\n"[..], Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_incarnation_wins_and_the_old_one_stays_away() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let mut old = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &old).await;
    let _new = Agent::start(&hub, &studio, 2).await;
    let mut view = hub.agents.watch(&studio);
    until(view.wait_for(|view| view.epoch == 2 && view.connected)).await.unwrap();
    // It was told: it drains without synchronising, and ends.
    until(old.ended()).await;
    assert_eq!(hub.agents.incarnation(&studio).unwrap().epoch, 2);
    // A token for an incarnation that is over is not given.
    assert!(matches!(hub.agents.issue_token(&studio, 1).await, Err(AppError::Conflict { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_or_used_token_opens_nothing() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let token = hub.agents.issue_token(&studio, 1).await.unwrap();
    let impostor = Agent::start_with(&hub, &studio, 1, "wrong", "pod-x");
    impostor.says("the control plane refuses this agent").await;
    assert!(hub.agents.incarnation(&studio).is_none());
    let right = Agent::start_with(&hub, &studio, 1, &token, "pod-1");
    hub.ready(&studio, &right).await;
    assert_eq!(hub.agents.incarnation(&studio).unwrap().pod_uid, "pod-1");
    // The token was exchanged: another process that stole it is too late.
    let thief = Agent::start_with(&hub, &studio, 1, &token, "pod-2");
    thief.says("the control plane refuses this agent").await;
    assert_eq!(hub.agents.incarnation(&studio).unwrap().pod_uid, "pod-1");
    let (out, _, _) = exec(&hub, &studio, &["echo", "still here"]).await;
    assert_eq!(out, b"still here\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_peers_hold_nobody_up() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(hub.address).await.unwrap());
    }
    let mut garbage = TcpStream::connect(hub.address).await.unwrap();
    garbage.write_all(&[0x5a; 4096]).await.unwrap();
    let mut rest = Vec::new();
    // It is thrown out; whether by an alert or a reset is all the same.
    until(garbage.read_to_end(&mut rest)).await.ok();
    // TLS, then silence where HTTP/2 should begin.
    let _quiet = hub.tls().await;
    let mut noise = hub.tls().await;
    noise.write_all(&vec![0xff; 100_000]).await.ok();
    until(noise.read_to_end(&mut rest)).await.ok();

    let agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;
    let (out, _, _) = exec(&hub, &studio, &["echo", "fine"]).await;
    assert_eq!(out, b"fine\n");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_above_the_limit_is_refused_and_the_connection_lives() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;
    let spec = SessionSpec {
        command: vec!["true".to_owned()],
        env: BTreeMap::from([("BIG".to_owned(), "x".repeat(5 << 20))]),
        ..SessionSpec::default()
    };
    let refused = hub.agents.start_session(&studio, "big", &spec).await;
    assert!(refused.is_err());
    let (out, _, _) = exec(&hub, &studio, &["echo", "alive"]).await;
    assert_eq!(out, b"alive\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_is_gone_for_every_call() {
    let hub = Hub::start().await;
    let studio = hub.studio().await;
    let mut agent = Agent::start(&hub, &studio, 1).await;
    hub.ready(&studio, &agent).await;
    let spec =
        SessionSpec { command: vec!["sleep".into(), "1000".into()], ..SessionSpec::default() };
    let session = hub.agents.start_session(&studio, "sleeper", &spec).await.unwrap();
    let mut pieces = hub.agents.attach(&studio, &session, 0, None).await.unwrap();
    agent.kill();
    let broken = until(pieces.next()).await;
    assert!(matches!(broken, Some(Err(AppError::Unreachable { .. }))), "{broken:?}");
    let mut view = hub.agents.watch(&studio);
    until(view.wait_for(|view| !view.connected)).await.unwrap();
    assert!(matches!(hub.agents.sessions(&studio).await, Err(AppError::Unreachable { .. })));
}
