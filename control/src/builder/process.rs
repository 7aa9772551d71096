//! Programs that builders start: their output line by line, ended as a group, nothing left over even by a builder that is killed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use images::plan::FileContent;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

use super::{BuildError, LogLine, LogSink, LogStream};
use crate::process_identity::ProcessIdentity;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// Longer lines are cut.
const LINE_LIMIT: usize = 8 << 10;

/// A program's place in a build.
pub(super) struct Job<'a> {
    /// Name of the node that it runs for.
    pub(super) node: &'a str,
    /// Folder of notes of what runs, by which [`end_leftovers`] knows it.
    pub(super) notes: &'a Path,
    /// Never shown.
    pub(super) secrets: Vec<String>,
}

/// How a program ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last line of its output that was not empty: of its errors where there are any.
    pub(super) last_words: String,
}

impl Ended {
    /// For people.
    pub(super) fn why(&self) -> String {
        if self.last_words.is_empty() {
            self.status.to_string()
        } else {
            format!("{}; its last words: {}", self.status, self.last_words)
        }
    }
}

/// User names and passwords of addresses.
pub(super) fn secrets<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let secret = |value: &String| {
        let (_, rest) = value.split_once("://")?;
        let (secret, _) = rest.split_once('@')?;
        (!secret.is_empty()).then(|| secret.to_owned())
    };
    values.into_iter().filter_map(secret).collect()
}

impl Job<'_> {
    /// Runs a command of [`crate::spawn`] to its end. No process of its group is left, whatever the outcome.
    pub(super) async fn run(
        &self,
        mut command: Command,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Ended, BuildError> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| {
            let program = command.as_std().get_program().display();
            BuildError::Environment {
                what: format!("{program} can't be started"),
                source: source.into(),
            }
        })?;
        let note = Note::write(self.notes, &child).map_err(environment)?;
        let ended = self.follow(&mut child, log, cancel, &note).await;
        // A program may leave others behind even when it ends well.
        note.identity.end_group();
        ended
    }

    /// Passes output on until the program has ended.
    async fn follow(
        &self,
        child: &mut Child,
        log: &dyn LogSink,
        cancel: &CancellationToken,
        note: &Note,
    ) -> Result<Ended, BuildError> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            let (out, last) = tokio::join!(
                self.pass_on(stdout, LogStream::Stdout, log),
                self.pass_on(stderr, LogStream::Stderr, log)
            );
            if last.is_empty() { out } else { last }
        };
        tokio::select! {
            last_words = output => {
                let status = child.wait().await.map_err(environment)?;
                Ok(Ended { status, last_words })
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
            log.line(LogLine { node: self.node.to_owned(), stream, text }).await;
            line.clear();
        }
        last
    }

    fn mask(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// A note on the disk that a program runs, so that a later builder can end it when this one is killed.
struct Note {
    file: PathBuf,
    identity: Group,
}

struct Group(ProcessIdentity);

impl Note {
    fn write(folder: &Path, child: &Child) -> io::Result<Self> {
        let pid =
            child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or(io::ErrorKind::NotFound)?;
        let identity = ProcessIdentity::of(pid)?;
        let file = folder.join(format!("{pid}.json"));
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
            tracing::warn!(pid = self.0.pid, %error, "a program of a build can't be signalled");
        }
    }

    /// Kills what is left of the group after its leader was reaped. The group's number can't have been used again while it
    /// has members; where it has none, there is nobody to signal.
    fn end_group(&self) {
        let group = nix::unistd::Pid::from_raw(self.0.pid);
        match nix::sys::signal::killpg(group, Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => (),
            Err(error) => {
                tracing::warn!(pid = self.0.pid, %error, "what a program of a build left can't be ended");
            }
        }
    }
}

/// Ends programs that an earlier, killed builder had started.
pub(super) fn end_leftovers(notes: &Path) -> io::Result<()> {
    for entry in fs::read_dir(notes)? {
        let file = entry?.path();
        if let Some(identity) = ProcessIdentity::load(&file) {
            identity.signal_group(Signal::SIGKILL)?;
        }
        fs::remove_file(file)?;
    }
    Ok(())
}

/// Puts a node's context into a new folder.
pub(super) fn write_context(
    context: &BTreeMap<String, FileContent>,
    folder: &Path,
) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (path, content) in context {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, &content.0)?;
    }
    Ok(())
}

fn environment(source: io::Error) -> BuildError {
    let what = match source.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some room and build again",
        _ => "a program of the build can't be looked after",
    };
    BuildError::Environment { what: what.into(), source: Box::new(source) }
}
