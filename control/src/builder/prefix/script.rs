//! Runs install scripts: output line by line, ended as a group, nothing left over.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use images::plan::{FileContent, Node};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Child,
};
use tokio_util::sync::CancellationToken;

use super::{environment, layout::Layout};
use crate::{
    builder::{BuildError, LogLine, LogSink, LogStream},
    process_identity::ProcessIdentity,
    spawn,
};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// Longer lines are cut.
const LINE_LIMIT: usize = 8 << 10;

/// A node's script with all it needs.
pub(super) struct Script<'a> {
    pub(super) layout: &'a Layout,
    pub(super) node: &'a Node,
    pub(super) text: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) context: &'a BTreeMap<String, FileContent>,
    pub(super) build_env: &'a BTreeMap<String, String>,
}

/// Removed with everything in it when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a scratch folder of a build stays behind");
        }
    }
}

impl Script<'_> {
    /// Runs it to its end, with `prefix` as `$PREFIX`.
    pub(super) async fn run(
        &self,
        prefix: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let scratch = Scratch(self.layout.scratch().map_err(environment)?);
        let (file, context, home) =
            (scratch.0.join("install.sh"), scratch.0.join("context"), scratch.0.join("home"));
        self.write_inputs(&file, &context, &home).map_err(environment)?;
        let mut command = spawn::command("/bin/sh");
        command
            .arg(&file)
            .current_dir(&home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(self.build_env)
            .envs(self.env)
            .env("HOME", &home)
            .env("TMPDIR", &scratch.0)
            .env("PREFIX", prefix)
            .env("CONTEXT", &context)
            .env("PIP_CACHE_DIR", self.layout.pip_cache())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(environment)?;
        let note = Note::write(self.layout, &child).map_err(environment)?;
        let ended = self.follow(&mut child, log, cancel, &note).await;
        // A script may leave processes behind even when it ends well.
        note.identity.end_group();
        let (status, last) = ended?;
        if status.success() {
            return Ok(());
        }
        let why = if last.is_empty() {
            status.to_string()
        } else {
            format!("{status}; its last words: {last}")
        };
        Err(BuildError::Failed { block: self.node.block, node: self.node.name.clone(), why })
    }

    fn write_inputs(&self, file: &Path, context: &Path, home: &Path) -> io::Result<()> {
        fs::write(file, self.text)?;
        fs::create_dir(context)?;
        fs::create_dir(home)?;
        for (path, content) in self.context {
            let path = context.join(path);
            fs::create_dir_all(path.parent().unwrap_or(context))?;
            fs::write(path, &content.0)?;
        }
        Ok(())
    }

    /// Passes output on until the script has ended; answers with its status and the last line of its errors.
    async fn follow(
        &self,
        child: &mut Child,
        log: &dyn LogSink,
        cancel: &CancellationToken,
        note: &Note,
    ) -> Result<(ExitStatus, String), BuildError> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            let (_, last) = tokio::join!(
                self.pass_on(stdout, LogStream::Stdout, log),
                self.pass_on(stderr, LogStream::Stderr, log)
            );
            last
        };
        tokio::select! {
            last = output => {
                let status = child.wait().await.map_err(environment)?;
                Ok((status, last))
            }
            () = cancel.cancelled() => {
                note.identity.signal_group_quietly(Signal::SIGTERM);
                if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                    note.identity.signal_group_quietly(Signal::SIGKILL);
                    child.wait().await.map_err(environment)?;
                }
                Err(BuildError::Cancelled)
            }
        }
    }

    /// Reads lines to the end; answers with the last that was not empty.
    async fn pass_on(
        &self,
        pipe: Option<impl AsyncRead + Unpin>,
        stream: LogStream,
        log: &dyn LogSink,
    ) -> String {
        let mut last = String::new();
        let Some(pipe) = pipe else { return last };
        let (mut reader, mut line) = (BufReader::new(pipe), Vec::new());
        while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let end = line.len().min(LINE_LIMIT);
            let text = self.mask(String::from_utf8_lossy(&line[..end]).trim_end());
            if !text.is_empty() {
                last.clone_from(&text);
            }
            log.line(LogLine { node: self.node.name.clone(), stream, text }).await;
            line.clear();
        }
        last
    }

    /// Hides user names and passwords of the addresses that the build was given.
    fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for value in self.build_env.values() {
            let secret = value
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('@'))
                .map(|(secret, _)| secret);
            if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
                masked = masked.replace(secret, "***");
            }
        }
        masked
    }
}

/// A note on the disk that a script runs, so that a later program can end it when this one is killed.
struct Note {
    file: PathBuf,
    identity: Group,
}

struct Group(ProcessIdentity);

impl Note {
    fn write(layout: &Layout, child: &Child) -> io::Result<Self> {
        let pid =
            child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or(io::ErrorKind::NotFound)?;
        let identity = ProcessIdentity::of(pid)?;
        let file = layout.running().join(format!("{pid}.json"));
        fs::write(&file, serde_json::to_vec(&identity)?)?;
        Ok(Self { file, identity: Group(identity) })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!(file = %self.file.display(), %error, "a note of a build stays behind");
        }
    }
}

impl Group {
    fn signal_group_quietly(&self, signal: Signal) {
        if let Err(error) = self.0.signal_group(signal) {
            tracing::warn!(pid = self.0.pid, %error, "an install script can't be signalled");
        }
    }

    /// Kills what is left of the group after its leader was reaped. The group's number can't have been used again while it
    /// has members; where it has none, there is nobody to signal.
    fn end_group(&self) {
        let group = nix::unistd::Pid::from_raw(self.0.pid);
        match nix::sys::signal::killpg(group, Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => (),
            Err(error) => {
                tracing::warn!(pid = self.0.pid, %error, "what an install script left can't be ended");
            }
        }
    }
}

/// Ends scripts that an earlier, killed program had started.
pub(super) fn end_leftovers(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.running())? {
        let file = entry?.path();
        if let Some(identity) = ProcessIdentity::load(&file) {
            identity.signal_group(Signal::SIGKILL)?;
        }
        fs::remove_file(file)?;
    }
    Ok(())
}
