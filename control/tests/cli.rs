//! The command line in a running studio: real programs from end to end.

#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

#[path = "support/programs.rs"]
mod support;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Stdio},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use support::{World, ended, until};

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

#[test]
fn a_command_gets_signals_and_outlives_a_control_plane_that_is_killed() {
    let mut world = World::new(TEMPLATE);
    let begun = |world: &World, script: &str| {
        let mut child = world.command(&in_studio(script)).spawn().unwrap();
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"begun\n");
        child
    };
    let interrupted = begun(&world, "echo begun; exec sleep 1000");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(interrupted.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(ended(interrupted.wait_with_output().unwrap()).code, 130);

    let going_on = begun(&world, "mkfifo go; echo begun; read word < go; echo $word; exit 5");
    world.restart();
    until("the studio is reached again", || {
        let tell = world.call(&in_studio("echo after > go"));
        (tell.code == 0).then_some(())
    });
    let went = ended(going_on.wait_with_output().unwrap());
    assert_eq!((went.code, went.out.as_str()), (5, "after\n"), "{went:?}");
}

#[test]
fn files_are_synchronised_and_conflicts_decided() {
    let world = World::new(TEMPLATE);
    let zone = "project:DEMO:notebooks";
    let in_zone = |path: &str| world.done(&["zone", "cat", zone, path]);
    let here =
        |path: &str| world.done(&["exec", "mine", "--", "cat", &format!("notebooks/{path}")]);
    world.done(&in_studio("echo one > notebooks/a.txt; echo one > notebooks/b.txt"));
    let check = world.call(&["sync", "mine", "--check"]);
    assert_eq!(
        (check.code, check.out.contains("a.txt  would be created on the server")),
        (0, true),
        "{check:?}"
    );
    let said = world.done(&["sync", "mine"]);
    assert!(said.contains("a.txt  created on the server") && said.contains("commit"), "{said}");
    assert_eq!(in_zone("a.txt"), "one\n");
    assert!(world.done(&["sync", "mine"]).contains("the same"));

    for file in ["a.txt", "b.txt"] {
        assert_eq!(world.piped(&["zone", "put", zone, file], b"server\n").code, 0);
    }
    world.done(&in_studio("echo studio > notebooks/a.txt; echo studio > notebooks/b.txt"));
    let sync = world.call(&["sync", "mine"]);
    assert_eq!((sync.code, sync.out.contains("a.txt  conflict")), (3, true), "{sync:?}");
    let open = world.json(&["conflicts", "list", "mine"]);
    assert_eq!(open["conflicts"].as_array().unwrap().len(), 2, "{open}");
    let diff = world.done(&["conflicts", "diff", "mine", "a.txt"]);
    assert!(diff.contains("-server") && diff.contains("+studio"), "{diff}");
    let one = world.call(&["conflicts", "resolve", "mine", "--keep", "server", "a.txt"]);
    assert_eq!(one.code, 3, "b.txt is left: {one:?}");
    assert_eq!((in_zone("a.txt").as_str(), here("a.txt").as_str()), ("server\n", "server\n"));
    world.done(&["sync", "mine", "--keep", "studio", "b.txt"]);
    assert_eq!((in_zone("b.txt").as_str(), here("b.txt").as_str()), ("studio\n", "studio\n"));
    assert_eq!(world.call(&["sync", "mine", "--keep", "studio", "c.txt"]).code, 2);
    assert_eq!(world.call(&["sync", "none"]).code, 2, "3 would say that something is left");
}

#[test]
fn logs_and_files_come_out_of_a_studio() {
    let world = World::new(TEMPLATE);
    assert!(world.done(&["logs", "mine"]).contains("hello from noisy"));
    assert!(
        world.done(&["logs", "mine", "Noisy", "--tail", "1", "--since", "1h"]).contains("hello")
    );
    let follow = ["logs", "mine", "-f"];
    let mut following = world.command(&follow).spawn().unwrap();
    let mut first = [0; 5];
    following.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"hello", "it comes while the entrypoint goes on");
    following.kill().unwrap();
    following.wait().unwrap();

    let bytes: Vec<u8> = (0..=255_u8).cycle().take(3 << 20).collect();
    let (local, back) = (world.path("local.bin"), world.path("back.bin"));
    std::fs::write(&local, &bytes).unwrap();
    let (local, back) = (local.to_str().unwrap(), back.to_str().unwrap());
    world.done(&["cp", local, "mine:"]);
    world.done(&["cp", "mine:local.bin", back]);
    assert!(std::fs::read(back).unwrap() == bytes, "every byte is back");
    assert_eq!(world.piped(&["cp", "-", "mine:typed"], b"typed").code, 0);
    assert_eq!(world.done(&["cp", "mine:typed", "-"]), "typed");
    let missing = world.call(&["cp", "mine:none", back]);
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(std::fs::read(back).unwrap() == bytes, "what was there stays");
    assert_eq!(world.call(&["cp", local, back]).code, 2);
    let audit = world.json(&["audit", "--limit", "3"]);
    assert_eq!(audit.as_array().unwrap().len(), 3, "{audit}");
}

/// `atelier shell` on a terminal of its own.
struct Terminal {
    master: File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn open(world: &World, words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let side = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let mut command = world.command(words);
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let terminal = Self { master: File::from(master), child, seen: String::new() };
        terminal.resize(100, 30);
        terminal
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.master.as_fd(), size).unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGWINCH).unwrap();
    }

    fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn shows(&mut self, wanted: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(wanted) {
            let length = self.master.read(&mut buffer).unwrap_or(0);
            assert_ne!(length, 0, "{wanted:?} is not in {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }

    fn ends(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_shell_is_a_terminal_that_can_be_left_and_come_back_to() {
    let world = World::new(TEMPLATE);
    let mut terminal = Terminal::open(&world, &["shell", "mine"]);
    terminal.types("echo be''gun; kept=yes\n");
    terminal.shows("begun");
    terminal.resize(101, 33);
    terminal.types("until [ \"$(stty size)\" = '33 101' ]; do :; done; echo si''zed\n");
    terminal.shows("sized");
    terminal.types("\x10\x11");
    terminal.shows("comes back");
    assert_eq!(terminal.ends(), Some(0));
    let sessions = world.json(&["shell", "mine", "--list"]);
    let session = sessions.as_array().unwrap().iter().find(|one| one["terminal"] == true).unwrap();
    let id = session["id"].as_str().unwrap();
    assert!(terminal.seen.contains(id), "{}", terminal.seen);

    let mut again = Terminal::open(&world, &["shell", "mine", "--session", id]);
    again.shows("sized");
    again.types("echo \"was $kept\"; exit 7\n");
    again.shows("was yes");
    assert_eq!(again.ends(), Some(7));
    let nowhere = world.call(&["shell", "mine"]);
    assert_eq!((nowhere.code, nowhere.err.contains("exec -i")), (125, true), "{nowhere:?}");
}
