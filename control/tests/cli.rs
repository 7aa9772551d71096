//! The command line in a running studio: real programs from end to end.

#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

#[path = "support/programs.rs"]
mod support;

use support::World;

const TEMPLATE: &str = "
label: T
blocks:
- {type: entrypoint, label: Noisy, command: 'echo hello from noisy; exec sleep 1000'}
- type: action
  name: Greet
  command_line: 'echo \"hello $ATELIER_INPUT_WHO\"; echo trouble >&2; exit 4'
  inputs: [{name: who, label: Who}]
";

fn in_studio(script: &str) -> [&str; 6] {
    ["exec", "mine", "--", "sh", "-c", script]
}

#[test]
fn commands_in_a_studio_are_as_if_they_ran_here() {
    let world = World::new(TEMPLATE);
    let ended = world.call(&in_studio("echo out; echo err >&2; exit 3"));
    assert_eq!((ended.code, &*ended.out, &*ended.err), (3, "out\n", "err\n"));
    assert_eq!(world.call(&in_studio("kill -9 $$")).code, 137);
    let numbers = world.done(&in_studio("seq 1 200000"));
    let expected = (1..=200_000).map(|n| n.to_string() + "\n").collect::<String>();
    assert!(numbers == expected, "{} of {} bytes", numbers.len(), expected.len());

    let typed = vec![b'x'; 3 << 20];
    let count = ["exec", "mine", "-i", "-e", "A=b c", "--", "sh", "-c", "echo \"$A\"; wc -c"];
    assert_eq!(world.piped(&count, &typed).out.split_whitespace().last(), Some("3145728"));
    assert_eq!(world.piped(&["exec", "mine", "--", "wc", "-c"], b"unwanted").out.trim(), "0");
    let deaf = ["exec", "mine", "-i", "--", "true"];
    assert_eq!(world.piped(&deaf, &typed).code, 0, "it reads nothing, and ends");

    let missing = world.call(&["exec", "mine", "--", "/no/such/program"]);
    assert_eq!(missing.code, 127, "{missing:?}");
    let nowhere = world.call(&["exec", "none", "--", "true"]);
    assert_eq!((nowhere.code, nowhere.err.contains("none")), (125, true), "{nowhere:?}");
    let json = serde_json::from_str::<serde_json::Value>(
        &world.done(&["exec", "mine", "--json", "--", "echo", "hi"]),
    )
    .unwrap();
    assert_eq!((json["exit"]["code"].as_i64(), json["stdout"].as_str()), (Some(0), Some("aGkK")));

    let actions = world.json(&["action", "list", "mine"]);
    assert_eq!(actions[0]["name"], "Greet");
    let greet = world.call(&["action", "run", "mine", "Greet", "--input", "who=you"]);
    assert_eq!((greet.code, &*greet.out, &*greet.err), (4, "hello you\n", "trouble\n"));
    assert_eq!(world.call(&["action", "run", "mine", "Dance"]).code, 125);
    let connect = world.call(&["connect", "mine", "--print"]);
    assert_eq!(connect.code, 5, "nothing is exposed: {connect:?}");
}
