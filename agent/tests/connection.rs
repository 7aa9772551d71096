//! Who may call, who is refused, and what a lost control plane changes: nothing that runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, Certificate, ControlPlane, code, exec, script, within};
use proto::agent::v1::{
    ConnectionKind, ListSessionsRequest, OpenBulkRequest, Phase, ReadinessLevel, Refusal, event,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn says_who_it_is_and_answers_nothing_else_before_it_is_admitted() {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.accept().await;
    let refused = connection.process().list(ListSessionsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let refused = connection.session().open_bulk(OpenBulkRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let hello = connection.hello().await;
    assert_eq!(
        (hello.studio_id.as_str(), hello.credential.as_str(), hello.epoch),
        ("abcdefgh", "token", 1)
    );
    assert_eq!((hello.connection(), hello.phase()), (ConnectionKind::Control, Phase::Waiting));
    assert_eq!((hello.pod_name.as_str(), hello.pod_uid.as_str()), ("pod-1", "pod-1"));
    connection.accept("key").await;
    connection.process().list(ListSessionsRequest {}).await.unwrap();
    drop(agent);
}

#[tokio::test]
async fn the_session_key_replaces_the_token_and_a_refused_key_gives_way_to_it() {
    let control_plane = ControlPlane::new().await;
    let _agent = Agent::start(&control_plane);
    drop(control_plane.admit().await);
    let connection = control_plane.accept().await;
    assert_eq!(connection.hello().await.credential, "session-key");
    connection.refuse(Refusal::Credential, 0).await;
    drop(connection);
    let connection = control_plane.accept().await;
    assert_eq!(connection.hello().await.credential, "token");
}

#[tokio::test]
async fn the_bulk_connection_comes_on_demand() {
    let control_plane = ControlPlane::new().await;
    let _agent = Agent::start(&control_plane);
    let control = control_plane.admit().await;
    control.session().open_bulk(OpenBulkRequest {}).await.unwrap();
    let bulk = control_plane.admit().await;
    assert_eq!(bulk.hello.connection(), ConnectionKind::Bulk);
    assert_eq!(bulk.hello.boot_id, control.hello.boot_id);
    assert_eq!(bulk.hello.credential, "session-key");
    // It is dialled again after it was lost, when asked.
    drop(bulk);
    control.session().open_bulk(OpenBulkRequest {}).await.unwrap();
    assert_eq!(control_plane.admit().await.hello.connection(), ConnectionKind::Bulk);
}

#[tokio::test]
async fn a_wrong_token_leaves_what_runs_alone() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.entrypoints = vec![script("main", "exec sleep 1000")];
    connection.launch(manifest).await;
    let started = connection.watch(0).await.entrypoint("main", ReadinessLevel::Ready).await;
    drop(connection);
    for _ in 0..2 {
        // First the key is refused, then the token.
        let connection = control_plane.accept().await;
        connection.hello().await;
        connection.refuse(Refusal::Credential, 0).await;
    }
    let stat = format!("/proc/{}", started.pid);
    assert!(std::path::Path::new(&stat).exists(), "the entrypoint runs on");
    assert!(agent.child.try_wait().unwrap().is_none(), "so does the agent");
}

#[tokio::test]
async fn a_superseded_agent_stays_away_and_ends_without_synchronising() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.entrypoints = vec![script("main", "exec sleep 1000")];
    connection.launch(manifest).await;
    let started = connection.watch(0).await.entrypoint("main", ReadinessLevel::Ready).await;
    drop(connection);
    let connection = control_plane.accept().await;
    connection.hello().await;
    connection.refuse(Refusal::Superseded, 0).await;
    assert_eq!(agent.ended().await, 0);
    assert!(!std::path::Path::new(&format!("/proc/{}", started.pid)).exists());
}

#[tokio::test]
async fn entrypoints_and_sessions_survive_a_control_plane_that_is_killed_and_comes_back() {
    let certificate = Certificate::new();
    let control_plane = ControlPlane::at("127.0.0.1:0", &certificate).await;
    let address = control_plane.address.clone();
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.entrypoints = vec![script("main", "echo hello; exec sleep 1000")];
    connection.launch(manifest.clone()).await;
    let mut events = connection.watch(0).await;
    let before = events.entrypoint("main", ReadinessLevel::Ready).await;
    let go = agent.path("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; echo late; exit 9", go.display());
    let id = connection.start(exec(&["sh", "-c", &script])).await;
    let (seq, hello) = (events.last_seq, connection.hello.clone());
    drop((control_plane, connection, events));
    // It ends while nobody is there.
    std::fs::write(&go, "").unwrap();
    let control_plane = ControlPlane::at(&address, &certificate).await;
    let connection = control_plane.admit().await;
    assert_eq!(
        (&connection.hello.boot_id, connection.hello.phase),
        (&hello.boot_id, Phase::Running.into())
    );
    // Launching the same again changes nothing.
    connection.launch(manifest).await;
    let mut viewer = connection.attach(&id, 0).await;
    viewer.expect("late\n").await;
    assert_eq!(code(&viewer.exit().await), 9);
    let mut events = connection.watch(seq).await;
    let event::What::SessionEnded(ended) = events.next().await else {
        panic!("nothing else happened")
    };
    assert_eq!(ended.session_id, id);
    let now = connection.watch(0).await.entrypoint("main", ReadinessLevel::Ready).await;
    assert_eq!((now.pid, now.restarts), (before.pid, 0));
}

#[tokio::test]
async fn somebody_elses_certificate_gets_no_hello() {
    let control_plane = ControlPlane::new().await;
    let impostor = ControlPlane::new().await;
    let address = impostor.address.clone();
    let _agent = Agent::start_with(&control_plane, &[], |command| {
        command.env("ATELIER_CONTROL_PLANE", &address);
    });
    let (mut tcp, _) = within("the agent dials", impostor.raw_accept()).await;
    tcp.write_all(b"HTTP/1.1 400 no\r\n\r\n").await.unwrap();
    let mut sent = Vec::new();
    // It sends its TLS greeting, sees no TLS, and goes.
    within("the agent goes", tcp.read_to_end(&mut sent)).await.ok();
    assert!(!String::from_utf8_lossy(&sent).contains("token"));
    let failed = within("the agent dials again", impostor.handshake()).await;
    assert!(failed.is_err(), "the agent trusts its own authority alone");
}

#[tokio::test]
async fn a_control_plane_that_never_answers_is_left_for_another_attempt() {
    let control_plane = ControlPlane::new().await;
    let _agent = Agent::start(&control_plane);
    // Held open, without a word, so that only the agent's own clock can end it.
    let (silent, _) = within("the agent dials", control_plane.raw_accept()).await;
    control_plane.admit().await;
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_goes_silent_is_noticed_and_dialled_anew() {
    let control_plane = ControlPlane::new().await;
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap().to_string();
    let behind = control_plane.address.clone();
    let silence = tokio_util::sync::CancellationToken::new();
    let cut = silence.clone();
    let mut relays = tokio::task::JoinSet::new();
    relays.spawn(async move {
        let mut carried = tokio::task::JoinSet::new();
        let mut first = true;
        while let Ok((mut from, _)) = relay.accept().await {
            let mut to = tokio::net::TcpStream::connect(&behind).await.unwrap();
            let cut = std::mem::take(&mut first).then(|| cut.clone());
            carried.spawn(async move {
                let silent = async {
                    match cut {
                        Some(cut) => cut.cancelled().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    // Held open, carrying nothing: as a network that lost its state does.
                    () = silent => std::future::pending().await,
                }
            });
        }
    });
    let _agent = Agent::start_with(&control_plane, &[], |command| {
        command.env("ATELIER_CONTROL_PLANE", &address);
    });
    let before = control_plane.admit().await;
    silence.cancel();
    let after = control_plane.admit().await;
    assert_eq!(before.hello.boot_id, after.hello.boot_id);
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start_with(&control_plane, &[], |command| {
        command.env_remove("ATELIER_EPOCH");
    });
    assert_eq!(agent.ended().await, 70);
}
