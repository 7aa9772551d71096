//! The commands inside the container.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::process::Stdio;

use harness::{Agent, ControlPlane, script};
use proto::agent::v1::{
    Action, ActionConcurrency, ReadinessLevel, SyncEndedRequest, sync_wanted::Reason,
};
use tokio::io::AsyncWriteExt;

/// Output, error output, exit code.
async fn call(agent: &Agent, words: &[&str], input: &str) -> (String, String, i32) {
    #[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_atelier-agent"))
        .args(words)
        .env("ATELIER_STATE_DIR", agent.path("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = harness::within("the command ends", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[tokio::test]
async fn people_inside_see_and_do_what_they_need() {
    use std::os::unix::fs::PermissionsExt;
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    let mut manifest = agent.manifest();
    manifest.entrypoints = vec![script("main", "echo printed; exec sleep 1000")];
    manifest.actions = vec![Action {
        id: "greet".to_owned(),
        name: "Greet".to_owned(),
        command_line: "echo hello $ATELIER_INPUT_WHO; exit 3".to_owned(),
        concurrency: ActionConcurrency::Refuse.into(),
        ..Action::default()
    }];
    connection.launch(manifest).await;
    connection.watch(0).await.entrypoint("main", ReadinessLevel::Ready).await;
    let mode = std::fs::metadata(agent.path("state/agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (status, _, code) = call(&agent, &["status"], "").await;
    assert_eq!(code, 0);
    assert!(status.contains("studio abcdefgh (epoch 1): running, connected"), "{status}");
    let (json, _, _) = call(&agent, &["status", "--json"], "").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["entrypoints"][0]["readiness"], &json["actions"][0]),
        (&"ready".into(), &"greet".into())
    );

    assert_eq!(call(&agent, &["logs", "main"], "").await.0, "printed\n");
    let (_, error, code) = call(&agent, &["logs", "nobody"], "").await;
    assert!(code == 70 && error.contains("there is no entrypoint \"nobody\""), "{error}");

    let (out, error, code) =
        call(&agent, &["run", "--", "sh", "-c", "cat; echo $HOME >&2; exit 9"], "typed\n").await;
    assert_eq!(
        (out.as_str(), error.trim(), code),
        ("typed\n", agent.path("home").to_str().unwrap(), 9)
    );
    let (out, _, code) =
        call(&agent, &["run", "--action", "greet", "--input", "who=you"], "").await;
    assert_eq!((out.as_str(), code), ("hello you\n", 3));
    let (out, _, code) = call(&agent, &["shell"], "echo in-$((40+2)); exit 5\n").await;
    assert!(out.contains("in-42") && code == 5, "{out} {code}");

    let answer = async {
        let mut events = connection.watch(0).await;
        let wanted = events.sync_wanted().await;
        assert_eq!(wanted.reason(), Reason::User);
        let message = "3 files".to_owned();
        let ended = SyncEndedRequest { sync_id: wanted.sync_id, ok: true, message };
        connection.session().sync_ended(ended).await.unwrap();
    };
    let ((out, _, code), ()) = tokio::join!(call(&agent, &["sync"], ""), answer);
    assert_eq!((out.as_str(), code), ("3 files\n", 0));
}

#[tokio::test]
async fn without_an_agent_the_commands_say_so() {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start_with(&control_plane, &[], |command| {
        command.env_remove("ATELIER_EPOCH");
    });
    let (_, error, code) = call(&agent, &["status"], "").await;
    assert!(code == 70 && error.contains("no agent answers in"), "{error}");
}
