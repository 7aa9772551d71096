//! Commands and shells over a real connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, ControlPlane, code, exec, until, within};
use proto::agent::v1::{
    AcknowledgeRequest, AttachRequest, InputRequest, LaunchManifest, ListSessionsRequest,
    ResizeRequest, SignalRequest, StartRequest, TerminalSize, exit::How, output::What,
};

async fn launched() -> (ControlPlane, Agent, harness::Connection) {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    connection.launch(agent.manifest()).await;
    (control_plane, agent, connection)
}

#[tokio::test]
async fn exit_codes_signals_and_channels_are_exact() {
    let (_control_plane, agent, connection) = launched().await;
    for expected in [0, 1, 7, 255] {
        let (_, _, exit) = connection.exec(&["sh", "-c", &format!("exit {expected}")]).await;
        assert_eq!(code(&exit), expected);
    }
    let (_, _, exit) = connection.exec(&["sh", "-c", "kill -9 $$"]).await;
    assert_eq!(exit.how, Some(How::Signal(9)));
    let (stdout, stderr, _) = connection.exec(&["sh", "-c", "echo out; echo err >&2; pwd"]).await;
    let workspace = agent.manifest().workspace;
    assert_eq!(String::from_utf8(stdout).unwrap(), format!("out\n{workspace}\n"));
    assert_eq!(stderr, b"err\n");
    let (_, _, exit) = connection.exec(&["/does/not/exist"]).await;
    assert!(
        matches!(&exit.how, Some(How::NotStarted(reason)) if reason.contains("/does/not/exist")),
        "{exit:?}"
    );
}

#[tokio::test]
async fn children_see_facts_and_no_credential() {
    let (_control_plane, agent, connection) = launched().await;
    let (stdout, _, _) = connection.exec(&["env"]).await;
    let env = String::from_utf8(stdout).unwrap();
    let home = agent.manifest().home;
    for line in [
        "ATELIER_STUDIO_ID=abcdefgh",
        "K8S_POD_NAME=pod-1",
        "ATELIER_LISTEN_ADDRESS=127.0.0.1",
        &format!("HOME={home}"),
    ] {
        assert!(env.lines().any(|found| found == line), "{line} in {env}");
    }
    assert!(env.contains(&format!("PATH={home}/.local/bin:")), "{env}");
    assert!(!env.contains("ATELIER_TOKEN") && !env.contains("BEGIN CERTIFICATE"), "{env}");
}

#[tokio::test]
async fn the_agent_stays_small_and_its_children_keep_huge_pages() {
    let (_control_plane, agent, connection) = launched().await;
    let (stdout, _, _) = connection.exec(&["grep", "THP_enabled", "/proc/self/status"]).await;
    assert_eq!(stdout, b"THP_enabled:\t1\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u32 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 6 << 10, "{kib} KiB besides the program itself");
}

#[tokio::test]
async fn output_is_byte_exact_over_attaching_again() {
    let (control_plane, _agent, connection) = launched().await;
    let expected: Vec<u8> = (1..=200_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let id =
        connection.start(StartRequest { lossless: true, ..exec(&["seq", "1", "200000"]) }).await;
    let mut got = Vec::new();
    let mut connection = connection;
    let exit = 'all: loop {
        let mut viewer = connection.attach(&id, got.len() as u64).await;
        for _ in 0..7 {
            match viewer.next().await {
                What::Data(data) => {
                    assert_eq!(data.offset, got.len() as u64);
                    got.extend_from_slice(&data.data);
                }
                What::Gap(gap) => panic!("{gap:?}"),
                What::Exit(exit) => break 'all exit,
            }
        }
        drop(viewer);
        if got.len() > 300_000 && got.len() < 700_000 {
            // The whole connection, too.
            drop(connection);
            connection = control_plane.admit().await;
        }
    };
    assert_eq!(code(&exit), 0);
    assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
}

#[tokio::test]
async fn a_full_ring_tells_what_is_gone() {
    let (_control_plane, _agent, connection) = launched().await;
    let id = connection.start(exec(&["head", "-c", "3000000", "/dev/zero"])).await;
    let mut viewer = connection.attach(&id, u64::MAX).await;
    assert_eq!(code(&viewer.exit().await), 0);
    let mut viewer = connection.attach(&id, 0).await;
    let kept_from = 3_000_000 - (1 << 20);
    assert!(matches!(viewer.next().await, What::Gap(gap) if gap.from == 0 && gap.to == kept_from));
    let mut count = 0;
    while let What::Data(data) = viewer.next().await {
        count += data.data.len();
    }
    assert_eq!(count, 1 << 20);
}

#[tokio::test]
async fn floods_and_viewers_that_never_read_hold_nobody_up() {
    let (_control_plane, agent, connection) = launched().await;
    let mut stalled = Vec::new();
    for lossless in [false, true] {
        let id = connection.start(StartRequest { lossless, ..exec(&["yes"]) }).await;
        for _ in 0..8 {
            stalled.push(connection.attach(&id, 0).await);
        }
    }
    for _ in 0..50 {
        let (stdout, _, exit) = connection.exec(&["echo", "here"]).await;
        assert_eq!((stdout.as_slice(), code(&exit)), (b"here\n".as_slice(), 0));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u32 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 << 10, "{kib} KiB under a flood");
    drop(stalled);
}

#[tokio::test]
async fn input_flows_and_ends() {
    let (_control_plane, _agent, connection) = launched().await;
    let id = connection.start(StartRequest { stdin: true, ..exec(&["cat"]) }).await;
    let piece =
        |data: &'static [u8], end| InputRequest { session_id: id.clone(), data: data.into(), end };
    let input = tokio_stream::iter([piece(b"one\n", false), piece(b"two\n", true)]);
    let reply = within("input", connection.process().input(input)).await.unwrap().into_inner();
    assert_eq!(reply.written, 8);
    let mut viewer = connection.attach(&id, 0).await;
    viewer.expect("one\ntwo\n").await;
    assert_eq!(code(&viewer.exit().await), 0);
}

#[tokio::test]
async fn a_shell_resizes_and_survives_its_viewers() {
    let (_control_plane, _agent, connection) = launched().await;
    let terminal = Some(TerminalSize { columns: 80, rows: 24 });
    let id = connection.start(StartRequest { terminal, ..exec(&["sh"]) }).await;
    let mut first = connection.attach(&id, 0).await;
    let mut second = connection.attach(&id, 0).await;
    let say = async |text: &'static [u8]| {
        let input = InputRequest { session_id: id.clone(), data: text.into(), end: false };
        connection.process().input(tokio_stream::iter([input])).await.unwrap();
    };
    say(b"stty size; tty; echo ready-$((1+1))\n").await;
    let seen = first.expect("ready-2").await;
    assert!(seen.contains("24 80") && seen.contains("/dev/pts/"), "{seen}");
    second.expect("ready-2").await;
    drop((first, second));
    let terminal = Some(TerminalSize { columns: 132, rows: 50 });
    connection.process().resize(ResizeRequest { session_id: id.clone(), terminal }).await.unwrap();
    let mut third = connection.attach(&id, 0).await;
    say(b"stty size\n").await;
    third.expect("50 132").await;
    let terminal = Some(TerminalSize { columns: 100, rows: 30 });
    let attach = AttachRequest { session_id: id.clone(), from: u64::MAX, terminal };
    let _fourth = connection.process().attach(attach).await.unwrap();
    say(b"stty size; exit 3\n").await;
    third.expect("30 100").await;
    assert_eq!(code(&third.exit().await), 3);
}

#[tokio::test]
async fn cancel_ends_the_whole_group() {
    let (_control_plane, agent, connection) = launched().await;
    let file = agent.path("pids");
    // A child that ignores TERM, in the background of a shell that does not.
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ > {0}; while :; do sleep 0.05; done' & wait",
        file.display()
    );
    let id = connection.start(exec(&["sh", "-c", &script])).await;
    until("the child runs", || std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n')))
        .await;
    let pid = std::fs::read_to_string(&file).unwrap();
    let cancel =
        SignalRequest { session_id: id.clone(), cancel_grace_ms: 100, ..SignalRequest::default() };
    connection.process().signal(cancel).await.unwrap();
    let exit = connection.attach(&id, 0).await.exit().await;
    assert!(exit.cancelled, "{exit:?}");
    assert_eq!(exit.how, Some(How::Signal(15)));
    until("the child is gone", || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists())
        .await;
}

#[tokio::test]
async fn a_background_child_does_not_hold_the_exit() {
    let (_control_plane, _agent, connection) = launched().await;
    let (stdout, _, exit) = connection.exec(&["sh", "-c", "echo done; sleep 1000 & exit 4"]).await;
    assert_eq!((stdout.as_slice(), code(&exit)), (b"done\n".as_slice(), 4));
    assert!(exit.pipes_left_open);
}

#[tokio::test]
async fn time_is_over() {
    let (_control_plane, _agent, connection) = launched().await;
    let id = connection.start(StartRequest { timeout_ms: 100, ..exec(&["sleep", "1000"]) }).await;
    let exit = connection.attach(&id, 0).await.exit().await;
    assert!(exit.timed_out && !exit.cancelled, "{exit:?}");
}

#[tokio::test]
async fn an_abandoned_shell_hangs_up() {
    let (_control_plane, _agent, connection) = launched().await;
    let request = StartRequest { detach_timeout_ms: 200, ..exec(&["sleep", "1000"]) };
    let id = connection.start(request).await;
    let mut events = connection.watch(0).await;
    loop {
        if let proto::agent::v1::event::What::SessionEnded(ended) = events.next().await {
            assert_eq!(ended.session_id, id);
            assert_eq!(ended.exit.unwrap().how, Some(How::Signal(1)));
            return;
        }
    }
}

#[tokio::test]
async fn request_ids_name_one_session_until_it_is_acknowledged() {
    let (_control_plane, _agent, connection) = launched().await;
    let request = exec(&["true"]);
    let id = connection.start(request.clone()).await;
    assert_eq!(connection.start(request.clone()).await, id);
    connection.attach(&id, 0).await.exit().await;
    let list = connection.process().list(ListSessionsRequest {}).await.unwrap().into_inner();
    assert_eq!(list.sessions.len(), 1);
    assert_eq!(list.sessions[0].exit.as_ref().map(code), Some(0));
    connection.process().acknowledge(AcknowledgeRequest { session_id: id.clone() }).await.unwrap();
    assert!(
        connection
            .process()
            .list(ListSessionsRequest {})
            .await
            .unwrap()
            .into_inner()
            .sessions
            .is_empty()
    );
    assert_ne!(connection.start(request).await, id);
    let empty = connection
        .process()
        .start(StartRequest { request_id: String::new(), ..exec(&["true"]) })
        .await;
    assert_eq!(empty.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn an_oversized_message_is_refused_and_hurts_nobody() {
    let (_control_plane, _agent, connection) = launched().await;
    let manifest = LaunchManifest { workspace: "x".repeat(5 << 20), ..LaunchManifest::default() };
    let request = proto::agent::v1::LaunchRequest { manifest: Some(manifest) };
    let refused = connection.session().launch(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused:?}");
    assert_eq!(code(&connection.exec(&["true"]).await.2), 0);
}
