//! The end: order, answers, grace, exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, Connection, ControlPlane, Watcher, code, exec, script, until, within};
use proto::agent::v1::{
    DrainRequest, Phase, ReadinessLevel, SyncEndedRequest, event, exit::How, sync_wanted::Reason,
};

async fn answer(connection: &Connection, events: &mut Watcher, reason: Reason) {
    let wanted = events.sync_wanted().await;
    assert_eq!(wanted.reason(), reason);
    let ended = SyncEndedRequest { sync_id: wanted.sync_id, ok: true, message: String::new() };
    connection.session().sync_ended(ended).await.unwrap();
}

/// Two entrypoints that write down when TERM comes, the first one after a while.
async fn two(agent: &Agent, connection: &Connection) -> Watcher {
    let order = agent.path("order");
    let line = |name: &str, rest: &str| {
        let order = order.display();
        script(
            name,
            &format!(
                "trap 'echo {name} >> {order}; {rest}exit 0' TERM; echo up; while :; do sleep 0.02; done"
            ),
        )
    };
    let mut manifest = agent.manifest();
    manifest.entrypoints =
        vec![line("first", ""), line("second", "sleep 0.1; echo rest >> rest; ")];
    connection.launch(manifest).await;
    let mut events = connection.watch(0).await;
    for id in ["first", "second"] {
        let request = proto::agent::v1::ReadLogRequest {
            entrypoint_id: id.into(),
            follow: true,
            ..Default::default()
        };
        let mut log = connection.logs().read(request).await.unwrap().into_inner();
        within("the trap is set", log.message()).await.unwrap();
    }
    events.entrypoint("second", ReadinessLevel::Ready).await;
    events
}

#[tokio::test]
async fn everything_ends_in_order_and_files_are_fetched_before_and_after() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut events = two(&agent, &connection).await;
    let session = connection.start(exec(&["sleep", "1000"])).await;
    agent.terminate();
    events.phase(Phase::Draining).await;
    // A second TERM does not break the first.
    agent.terminate();
    let refused = connection.process().start(exec(&["true"])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let wanted = events.sync_wanted().await;
    assert_eq!(wanted.reason(), Reason::DrainBeforeStop);
    assert!(!agent.path("order").exists(), "entrypoints run until the files are safe");
    let ended = SyncEndedRequest { sync_id: wanted.sync_id, ok: true, message: String::new() };
    connection.session().sync_ended(ended).await.unwrap();
    let ended = loop {
        if let event::What::SessionEnded(ended) = events.next().await {
            break ended;
        }
    };
    assert_eq!((ended.session_id, ended.exit.unwrap().how), (session, Some(How::Signal(15))));
    answer(&connection, &mut events, Reason::DrainAfterStop).await;
    assert_eq!(std::fs::read_to_string(agent.path("order")).unwrap(), "second\nfirst\n");
    assert_eq!(std::fs::read_to_string(agent.path("home/workspace/rest")).unwrap(), "rest\n");
    events.phase(Phase::Ended).await;
    assert_eq!(agent.ended().await, 0);
    let certificate = std::fs::read_to_string(agent.path("state/death.json")).unwrap();
    assert!(
        certificate.contains("asked to end by a signal") && certificate.contains("up\\n"),
        "{certificate}"
    );
}

#[tokio::test]
async fn a_control_plane_that_comes_back_during_the_end_still_gets_the_files() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let events = two(&agent, &connection).await;
    let seq = events.last_seq;
    drop((connection, events));
    agent.terminate();
    let connection = control_plane.admit().await;
    let mut events = connection.watch(seq).await;
    answer(&connection, &mut events, Reason::DrainBeforeStop).await;
    answer(&connection, &mut events, Reason::DrainAfterStop).await;
    events.phase(Phase::Ended).await;
    assert_eq!(agent.ended().await, 0);
}

#[tokio::test]
async fn without_a_control_plane_it_ends_within_the_grace() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.drain_grace_ms = 1_500;
    // Ignores TERM, and has a child that left its session.
    manifest.entrypoints =
        vec![script("stubborn", "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.02; done")];
    connection.launch(manifest).await;
    let state = connection.watch(0).await.entrypoint("stubborn", ReadinessLevel::Ready).await;
    drop((connection, control_plane));
    agent.terminate();
    assert_eq!(agent.ended().await, 0);
    until("the entrypoint is gone", || {
        !std::path::Path::new(&format!("/proc/{}", state.pid)).exists()
    })
    .await;
}

#[tokio::test]
async fn the_main_entrypoints_code_is_the_agents() {
    let control_plane = ControlPlane::new().await;
    let mut agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.entrypoints = vec![script("main", "exit 42")];
    connection.launch(manifest).await;
    let mut events = connection.watch(0).await;
    events.entrypoint("main", ReadinessLevel::Exited).await;
    let drain = DrainRequest { without_sync: true, ..DrainRequest::default() };
    connection.session().drain(drain).await.unwrap();
    events.phase(Phase::Ended).await;
    assert_eq!(agent.ended().await, 42);
}

#[tokio::test]
async fn process_one_loses_no_exit_code_and_leaves_no_zombie() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::vars().all(|(name, _)| name != "CI"), "CI must run this as root");
        println!("skipped: a PID namespace needs root");
        return;
    }
    let control_plane = ControlPlane::new().await;
    let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let agent = Agent::start_with(&control_plane, &wrapper, |_| {});
    let connection = control_plane.admit().await;
    connection.launch(agent.manifest()).await;
    let (stdout, _, _) = connection.exec(&["sh", "-c", "cat /proc/1/comm"]).await;
    assert_eq!(stdout, b"atelier-agent\n", "the agent is process 1");
    for round in 0..10 {
        let runs = (0..50).map(|index| {
            let connection = connection.clone();
            async move {
                let expected = (round * 50 + index) % 256;
                // An orphan each, some of which outlive their parent's group.
                let script = format!("(sleep 0.02 &) ; (setsid sleep 0.03 &) ; exit {expected}");
                let id = connection.start(exec(&["sh", "-c", &script])).await;
                let exit = connection.attach(&id, 0).await.exit().await;
                assert_eq!(code(&exit), expected);
                let acknowledge = proto::agent::v1::AcknowledgeRequest { session_id: id };
                connection.process().acknowledge(acknowledge).await.unwrap();
                // What can't be executed must not confuse the reaper either.
                let (_, _, exit) = connection.exec(&["/does/not/exist"]).await;
                assert!(matches!(exit.how, Some(How::NotStarted(_))));
            }
        });
        futures_util::future::join_all(runs).await;
    }
    let zombies = r"sleep 0.2; cat /proc/[0-9]*/stat | grep -c ') Z ' ; cat /proc/[0-9]*/comm | grep -c '^sleep$'";
    let (stdout, _, _) = connection.exec(&["sh", "-c", zombies]).await;
    assert_eq!(String::from_utf8(stdout).unwrap(), "0\n0\n");
}
