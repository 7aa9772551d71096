//! The real programs: a control plane, the command line, and an agent for each studio.
//!
//! Needs the agent's binary beside this test: `cargo build -p agent`.

#![expect(clippy::disallowed_methods, reason = "the tests start and end real programs")]
#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const READY: &str = "ready.json";

/// A control plane with one running studio, `mine` in the project `DEMO`.
pub(crate) struct World {
    server: Child,
    /// Kept open: what it says goes somewhere.
    said: Option<ChildStdout>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    pub(crate) key: String,
}

/// What a call came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn new(template: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, url, key) = (serve(&folder, "127.0.0.1:0"), String::new(), String::new());
        let said = server.stdout.take();
        let mut world = Self { server, said, folder, url, key };
        world.is_ready();
        let file = world.path("template.yaml");
        fs::write(&file, template).unwrap();
        world.done(&["project", "create", "DEMO", "Demo"]);
        world.done(&["template", "apply", "-f", file.to_str().unwrap()]);
        world.done(&["template", "build", "T", "--follow"]);
        world.done(&["studio", "create", "mine", "-t", "T", "-p", "DEMO"]);
        world.done(&["studio", "start", "mine"]);
        world
    }

    /// Waits until it serves.
    fn is_ready(&mut self) {
        let file = self.path(READY);
        let ready: Value = until("the server is ready", || {
            assert!(self.server.try_wait().unwrap().is_none(), "{}", self.log());
            serde_json::from_slice(&fs::read(&file).unwrap_or_default()).ok()
        });
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        (self.url, self.key) = (text("url"), text("api_key"));
    }

    /// Kills the control plane, and starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        fs::remove_file(self.path(READY)).unwrap();
        let port = self.url.rsplit(':').next().unwrap();
        self.server = serve(&self.folder, &format!("127.0.0.1:{port}"));
        self.said = self.server.stdout.take();
        self.is_ready();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env("ATELIER_SERVER", &self.url).env("ATELIER_API_KEY", &self.key).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn call(&self, words: &[&str]) -> Ended {
        self.piped(words, b"")
    }

    /// With something on standard input.
    pub(crate) fn piped(&self, words: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(words).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // It may want none of it.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        ended(output)
    }

    /// What must succeed.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let ended = self.call(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}\n{}", self.log());
        ended.out
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[words, &["--json"]].concat())).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Else its studio would go on.
        let stopped = self.call(&["studio", "stop", "mine", "--timeout", "60"]);
        if stopped.code != 0 {
            eprintln!("the studio may go on: {stopped:?}");
        }
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn serve(folder: &tempfile::TempDir, listen: &str) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log"));
    Command::new(program())
        .args(["serve", "--listen", listen, "--data"])
        .arg(folder.path().join("data"))
        .arg("--ready-file")
        .arg(folder.path().join(READY))
        .arg("--agent-binary")
        .arg(agent())
        .stdout(Stdio::piped())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Ended { code, out: text(output.stdout), err: text(output.stderr) }
}

/// Looks until it is so.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "not in a minute: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_atelier"))
}

fn agent() -> PathBuf {
    program().with_file_name("atelier-agent")
}
