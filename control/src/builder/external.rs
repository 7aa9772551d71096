//! External blocks: executables of the administrator that change a template before it is compiled, and a launch after it.
//!
//! Each is called as `<executable> build_spec` with `{"parameters", "place", "spec"}` on its standard input, and answers the changed
//! spec on its standard output; then as `<executable> build_launch` with `{"parameters", "launch"}`. `spec` is without the block
//! itself, which stood at `place`. What it says on standard error is in the build's log.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use images::launch::LaunchSpec;
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{BuildError, LogLine, LogSink, LogStream};
use crate::spawn;

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Most of an answer.
const ANSWER_BYTES: u64 = 8 << 20;
/// Most of what it says beside its answer.
const SAID_BYTES: u64 = 64 << 10;
/// Most external blocks of a template, those that others add among them.
const CALLS: usize = 20;

/// The executables of an instance.
pub struct ExternalBlocks {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    limit: Duration,
}

/// A block that was called, to be called again for the launch.
#[derive(Debug)]
pub struct Called {
    place: usize,
    name: String,
    parameters: Value,
}

/// Kills what it has started when it is dropped: a call that was given up leaves no process.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        match killpg(self.0, Signal::SIGKILL) {
            // Gone already is what is wanted.
            Ok(()) | Err(Errno::ESRCH) => (),
            Err(error) => tracing::warn!(%error, "what an external block started can't be ended"),
        }
    }
}

impl ExternalBlocks {
    /// Those in `folder`, each by its file's name.
    pub fn new(folder: PathBuf, environment: BTreeMap<String, String>) -> Self {
        Self { folder, environment, limit: LIMIT }
    }

    /// Calls every external block of a template, which has none left afterwards.
    pub async fn build_spec(
        &self,
        spec: &mut Value,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Vec<Called>, BuildError> {
        let mut called = Vec::new();
        while let Some(block) = take(spec) {
            if called.len() == CALLS {
                return Err(failed(&block, format!("more than {CALLS} external blocks")));
            }
            let input =
                json!({"parameters": block.parameters, "place": block.place, "spec": &spec});
            *spec = self.call(&block, "build_spec", &input, log, cancel).await?;
            called.push(block);
        }
        Ok(called)
    }

    /// Lets each of them change the launch.
    pub async fn build_launch(
        &self,
        called: &[Called],
        mut launch: LaunchSpec,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<LaunchSpec, BuildError> {
        for block in called {
            let input = json!({"parameters": block.parameters, "launch": launch});
            let answer = self.call(block, "build_launch", &input, log, cancel).await?;
            launch = serde_json::from_value(answer)
                .map_err(|error| failed(block, format!("its launch can't be read: {error}")))?;
        }
        Ok(launch)
    }

    async fn call(
        &self,
        block: &Called,
        step: &'static str,
        input: &Value,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Value, BuildError> {
        let program = self.program(block)?;
        let running = self.run(block, &program, step, input);
        let (answer, said) = tokio::select! {
            () = cancel.cancelled() => return Err(BuildError::Cancelled),
            ended = tokio::time::timeout(self.limit, running) => ended.map_err(|_| {
                failed(block, format!("{step} took longer than {} s", self.limit.as_secs()))
            })??,
        };
        for line in String::from_utf8_lossy(&said).lines() {
            let (node, text) = (block.name.clone(), line.to_owned());
            log.line(LogLine { node, stream: LogStream::Stderr, text }).await;
        }
        let answer = answer.map_err(|why| failed(block, format!("{step}: {why}")))?;
        serde_json::from_slice(&answer)
            .map_err(|error| failed(block, format!("{step} answered no JSON: {error}")))
    }

    /// Its answer, or why there is none, and what it said beside.
    async fn run(
        &self,
        block: &Called,
        program: &Path,
        step: &str,
        input: &Value,
    ) -> Result<(Result<Vec<u8>, String>, Vec<u8>), BuildError> {
        let unusable = |error: std::io::Error| failed(block, format!("it can't be run: {error}"));
        let mut command = spawn::command(program);
        command
            .arg(step)
            .current_dir(&self.folder)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(unusable)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let _group = id.map(|id| Group(Pid::from_raw(id)));
        let (mut stdin, stdout, stderr) = (
            child.stdin.take().expect("it is piped"),
            child.stdout.take().expect("it is piped"),
            child.stderr.take().expect("it is piped"),
        );
        let text = input.to_string();
        let telling = async move {
            // One that does not read to the end has decided without it.
            drop(stdin.write_all(text.as_bytes()).await);
        };
        let ((), answer, said) =
            tokio::join!(telling, read(stdout, ANSWER_BYTES), read(stderr, SAID_BYTES));
        let (answer, said) = (answer.map_err(unusable)?, said.map_err(unusable)?);
        let status = child.wait().await.map_err(unusable)?;
        let answer = if !status.success() {
            Err(format!("it ended with {status}: {}", String::from_utf8_lossy(&said).trim()))
        } else if answer.len() as u64 == ANSWER_BYTES {
            Err(format!("its answer is larger than {} MiB", ANSWER_BYTES >> 20))
        } else {
            Ok(answer)
        };
        Ok((answer, said))
    }

    fn program(&self, block: &Called) -> Result<PathBuf, BuildError> {
        let good = block.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && block.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let program = self.folder.join(&block.name);
        if good && program.is_file() {
            Ok(program)
        } else {
            Err(failed(block, format!("there is no executable {}", program.display())))
        }
    }
}

/// Takes the first external block out of a template.
fn take(spec: &mut Value) -> Option<Called> {
    let blocks = spec.get_mut("blocks")?.as_array_mut()?;
    let place = blocks.iter().position(|block| block["type"] == "external")?;
    let mut block = blocks.remove(place);
    let name = block["name"].as_str().unwrap_or_default().to_owned();
    Some(Called { place, name, parameters: block["parameters"].take() })
}

/// All of a pipe, or its first bytes: the rest is read and dropped, so that the writer is not held up.
async fn read(mut pipe: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut pipe).take(limit).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

fn failed(block: &Called, why: String) -> BuildError {
    BuildError::Failed { block: block.place, node: block.name.clone(), why }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use async_trait::async_trait;
    use images::launch::LaunchSpec;
    use serde_json::json;
    use tokio::sync::Mutex;
    use tokio_util::sync::CancellationToken;

    use super::{BuildError, ExternalBlocks, LogLine, LogSink};
    use crate::spawn;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    #[async_trait]
    impl LogSink for Lines {
        async fn line(&self, line: LogLine) {
            self.0.lock().await.push(line.text);
        }
    }

    async fn blocks(folder: &Path, text: &str) -> ExternalBlocks {
        // Written by another process: one that this program starts meanwhile would hold the file open, and it could not be run.
        let mut write = spawn::command("/bin/sh");
        write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >own && chmod 755 own", "sh", text]);
        let written = write.current_dir(folder).status().await.unwrap();
        assert!(written.success());
        ExternalBlocks::new(folder.to_owned(), [].into())
    }

    const PROGRAM: &str = r#"exec python3 -c '
import json, sys
told = json.load(sys.stdin)
print("called for", sys.argv[1], file=sys.stderr)
if sys.argv[1] == "build_spec":
    answer = told["spec"]
    answer["blocks"].insert(told["place"], {"type": "action", "name": told["parameters"]["name"], "command_line": "true"})
else:
    answer = told["launch"]
    answer["env"]["OWN"] = told["parameters"]["name"]
json.dump(answer, sys.stdout)' "$1""#;

    #[tokio::test]
    async fn an_executable_changes_the_template_in_its_place_and_the_launch() {
        let folder = tempfile::tempdir().unwrap();
        let external = blocks(folder.path(), PROGRAM).await;
        let (log, cancel) = (Lines::default(), CancellationToken::new());
        let mut spec = json!({"label": "T", "blocks": [
            {"type": "jupyterlab"},
            {"type": "external", "name": "own", "parameters": {"name": "Mine"}},
            {"type": "streamlit"},
        ]});
        let called = external.build_spec(&mut spec, &log, &cancel).await.unwrap();
        assert_eq!(spec["blocks"][1]["name"], "Mine");
        assert_eq!(spec["blocks"].as_array().unwrap().len(), 3);
        let launch = external.build_launch(&called, LaunchSpec::default(), &log, &cancel).await;
        assert_eq!(launch.unwrap().env["OWN"], "Mine");
        let said = log.0.lock().await.clone();
        assert_eq!(said, ["called for build_spec", "called for build_launch"]);
    }

    #[tokio::test]
    async fn one_that_fails_hangs_or_is_not_there_fails_the_build_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (log, cancel) = (Lines::default(), CancellationToken::new());
        for (name, text, why) in [
            ("own", "echo broken >&2; exit 3", "broken"),
            ("own", "echo '{'", "JSON"),
            ("own", "sleep 600 & echo $! >pid; wait", "longer"),
            ("../own", "true", "no executable"),
            ("other", "true", "no executable"),
        ] {
            let mut external = blocks(folder.path(), text).await;
            external.limit = Duration::from_secs(2);
            let mut spec = json!({"blocks": [{"type": "external", "name": name}]});
            let error = external.build_spec(&mut spec, &log, &cancel).await.unwrap_err();
            assert!(matches!(&error, BuildError::Failed { block: 0, node, .. } if node == name));
            assert!(error.to_string().contains(why), "{error}");
        }
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        let gone = || {
            fs::read(format!("/proc/{}/cmdline", pid.trim())).map_or(true, |line| line.is_empty())
        };
        while !gone() {
            assert!(tokio::time::Instant::now() < deadline, "the child of a killed block is there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
