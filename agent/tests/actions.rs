//! Actions: inputs, concurrency, cancel, time-out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, Connection, ControlPlane, code, until, within};
use proto::agent::v1::{
    Action, ActionConcurrency, ActionInput, RunActionReply, RunActionRequest, SignalRequest,
    exit::How,
};

fn action(id: &str, command_line: &str, concurrency: ActionConcurrency) -> Action {
    Action {
        id: id.to_owned(),
        name: id.to_owned(),
        command_line: command_line.to_owned(),
        concurrency: concurrency.into(),
        ..Action::default()
    }
}

async fn studio(actions: &[Action]) -> (ControlPlane, Agent, Connection) {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.actions = actions.to_vec();
    connection.launch(manifest).await;
    (control_plane, agent, connection)
}

async fn run(
    connection: &Connection,
    action_id: &str,
    request_id: &str,
) -> Result<RunActionReply, tonic::Status> {
    let inputs = vec![ActionInput { name: "who".to_owned(), value: "$(id) \"x\"".to_owned() }];
    let request = RunActionRequest {
        request_id: request_id.to_owned(),
        action_id: action_id.to_owned(),
        inputs,
    };
    within("run", connection.actions().run(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn inputs_are_data_and_exit_codes_exact() {
    let line = "printf '%s|' \"$ATELIER_INPUT_WHO\" \"$PWD\"; exit 5";
    let (_control_plane, agent, connection) =
        studio(&[action("a", line, ActionConcurrency::Refuse)]).await;
    let id = run(&connection, "a", "r1").await.unwrap().session_id;
    let mut viewer = connection.attach(&id, 0).await;
    let workspace = agent.manifest().workspace;
    viewer.expect(&format!("$(id) \"x\"|{workspace}|")).await;
    assert_eq!(code(&viewer.exit().await), 5);
    assert_eq!(run(&connection, "a", "r1").await.unwrap().session_id, id, "the same request again");
    assert_eq!(run(&connection, "b", "r2").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_second_run_is_refused_queued_or_parallel() {
    let wait = "while [ ! -e $ATELIER_ACTION ]; do sleep 0.02; done; echo ended >> ended";
    let (_control_plane, agent, connection) = studio(&[
        action("refuse", wait, ActionConcurrency::Refuse),
        action("queue", wait, ActionConcurrency::Queue),
        action("parallel", wait, ActionConcurrency::Parallel),
    ])
    .await;
    run(&connection, "refuse", "r1").await.unwrap();
    let refused = run(&connection, "refuse", "r2").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(run(&connection, "parallel", "p1").await.unwrap().queued_behind, 0);
    assert_eq!(run(&connection, "parallel", "p2").await.unwrap().queued_behind, 0);
    assert_eq!(run(&connection, "queue", "q1").await.unwrap().queued_behind, 0);
    let second = run(&connection, "queue", "q2").await.unwrap();
    let third = run(&connection, "queue", "q3").await.unwrap();
    assert_eq!((second.queued_behind, third.queued_behind), (1, 2));
    assert_eq!(run(&connection, "queue", "q3").await.unwrap().queued_behind, 2);
    let cancel =
        SignalRequest { session_id: second.session_id.clone(), cancel_grace_ms: 1_000, signal: 0 };
    connection.process().signal(cancel).await.unwrap();
    let exit = connection.attach(&second.session_id, 0).await.exit().await;
    assert!(exit.cancelled && matches!(exit.how, Some(How::NotStarted(_))), "{exit:?}");
    std::fs::write(agent.path("home/workspace/queue"), "").unwrap();
    assert_eq!(code(&connection.attach(&third.session_id, 0).await.exit().await), 0);
    let ended = agent.path("home/workspace/ended");
    until("two runs ended", || {
        std::fs::read_to_string(&ended).is_ok_and(|text| text.lines().count() == 2)
    })
    .await;
    // The lane is free again.
    assert_eq!(run(&connection, "queue", "q4").await.unwrap().queued_behind, 0);
}

#[tokio::test]
async fn an_action_has_its_time() {
    let slow =
        Action { timeout_ms: 100, ..action("slow", "sleep 1000", ActionConcurrency::Refuse) };
    let (_control_plane, _agent, connection) = studio(&[slow]).await;
    let id = run(&connection, "slow", "r1").await.unwrap().session_id;
    assert!(connection.attach(&id, 0).await.exit().await.timed_out);
}
