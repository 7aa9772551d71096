//! An instance in a folder of its own, as a process that can be killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// A running instance, an administrator's key, a project, a built template and a studio.
pub struct Instance {
    folder: TempDir,
    child: Option<Child>,
    http: Client,
    pub url: String,
    pub key: String,
    pub studio: String,
    /// More arguments of `up`.
    arguments: Vec<String>,
    /// Neither the program nor its studios may watch folders.
    is_blind: bool,
}

/// The agent is built with the same tests, beside their folder.
fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("atelier-agent")
}

pub fn atelier() -> Command {
    Command::new(env!("CARGO_BIN_EXE_atelier"))
}

fn atelier_without_watches() -> Command {
    let mut command = Command::new("unshare");
    let set = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", set, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_atelier"));
    command
}

/// What every studio of these suites has.
pub fn blocks() -> Value {
    json!([
        {"type": "entrypoint", "label": "Web", "port": 8000, "expose": true,
         "command": "echo begins; exec python3 -u -m http.server --bind \"$ATELIER_LISTEN_ADDRESS\" 8000"},
        {"type": "action", "name": "Count", "command_line": "seq 1 \"$ATELIER_INPUT_UPTO\"; echo error >&2; exit 7",
         "inputs": [{"name": "UPTO", "default": "3"}]},
        {"type": "starter_files", "files": [
            {"text": "begin\n", "zone": "code_studio-versioned", "path": "start.txt"}]},
        {"type": "file_sync", "exclusions": ["*.tmp"]},
    ])
}

impl Instance {
    /// With a studio that is not started yet.
    pub async fn new() -> Self {
        Self::with(blocks(), &[]).await
    }

    pub async fn with(blocks: Value, arguments: &[&str]) -> Self {
        Self::made(blocks, arguments, false).await
    }

    /// On a machine whose watchers are used up.
    pub async fn without_watches(blocks: Value) -> Self {
        Self::made(blocks, &[], true).await
    }

    async fn made(blocks: Value, arguments: &[&str], is_blind: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut instance = Self {
            folder,
            child: None,
            http: control::http_client::builder().build().unwrap(),
            url: String::new(),
            key: String::new(),
            studio: String::new(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            is_blind,
        };
        instance.start().await;
        let project = json!({"key": "DEMO", "name": "Demo"});
        instance.call(Method::POST, "/projects", Some(project)).await;
        let template = json!({"spec": {"label": "T", "blocks": blocks}});
        let template = instance.call(Method::POST, "/templates", Some(template)).await;
        let id = template["id"].as_str().unwrap();
        let build = instance.call(Method::POST, &format!("/templates/{id}/builds"), None).await;
        let build = format!("/builds/{}", build["id"].as_str().unwrap());
        instance.until(&build, |build| build["state"] == "succeeded").await;
        let studio = json!({"name": "lab", "template": id});
        let studio = instance.call(Method::POST, "/projects/DEMO/studios", Some(studio)).await;
        studio["id"].as_str().unwrap().clone_into(&mut instance.studio);
        instance
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program, also again after it was killed; returns when it serves.
    pub async fn start(&mut self) {
        let ready = self.path("ready.json");
        drop(fs::remove_file(&ready));
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut command = if self.is_blind { atelier_without_watches() } else { atelier() };
        command.args(["up", "--no-sample", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(self.path("data")).arg("--ready-file").arg(&ready);
        command.arg("--agent-binary").arg(agent()).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ready: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        ready["url"].as_str().unwrap().clone_into(&mut self.url);
        ready["api_key"].as_str().unwrap().clone_into(&mut self.key);
    }

    /// `kill -9`, without any warning.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// As somebody who ends it does; returns when it has.
    pub fn end(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    #[track_caller]
    pub fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> impl Future<Output = Value> {
        let asked = self.send(method, path, body);
        let path = path.to_owned();
        async move {
            let (status, answer) = asked.await;
            assert!(status < 300, "{path}: {status} {answer}");
            answer
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// Asks until it is so.
    pub async fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, answer) = self.send(Method::GET, path, None).await;
            if status < 300 && so(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {status} {answer}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn at(&self, rest: &str) -> String {
        format!("/studios/{}{rest}", self.studio)
    }

    pub fn zone(&self, rest: &str) -> String {
        format!("/zones/studio:{}:code_studio-versioned{rest}", self.studio)
    }

    /// Starts or stops the studio and waits until that is done.
    pub async fn bring(&self, verb: &str) -> Value {
        let task = self.call(Method::POST, &self.at(&format!("/{verb}")), None).await;
        let task = format!("/tasks/{}?wait=60", task["id"].as_str().unwrap());
        let done = self.get(&task).await;
        assert_eq!(done["state"], "succeeded", "{verb}: {done}\n{}", self.log());
        done
    }

    /// A command in the studio; its standard output and exit code.
    pub async fn exec(&self, line: &str) -> (String, i64) {
        let body = json!({"command": ["bash", "-c", line]});
        let done = self.call(Method::POST, &self.at("/exec"), Some(body)).await;
        let out = BASE64.decode(done["stdout"].as_str().unwrap().as_bytes()).unwrap();
        (String::from_utf8(out).unwrap(), done["exit"]["code"].as_i64().unwrap_or(-1))
    }

    /// Writes a file in the studio's own zone from within it.
    pub async fn write(&self, path: &str, text: &str) {
        let line = format!("printf %s '{text}' > code_studio-versioned/{path}");
        assert_eq!(self.exec(&line).await.1, 0);
    }

    pub async fn synchronise(&self, body: Value) -> Value {
        let done = self.call(Method::POST, &self.at("/sync?wait=60"), Some(body)).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        done["result"].clone()
    }

    /// A file of the zone, as the server has it.
    pub async fn zone_text(&self, path: &str) -> Option<String> {
        let url = format!("{}/api/v1{}", self.url, self.zone(&format!("/content?path={path}")));
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.unwrap();
        if answer.status().is_success() { Some(answer.text().await.unwrap()) } else { None }
    }

    pub async fn put_zone_text(&self, path: &str, text: &str) {
        self.put(&self.zone(&format!("/content?path={path}")), text.to_owned()).await;
    }

    pub async fn put(&self, path: &str, text: String) {
        let url = format!("{}/api/v1{path}", self.url);
        let answer = self.http.put(url).bearer_auth(&self.key).body(text).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// An answer's status and text, also beside the API; as the administrator or as nobody.
    pub async fn outside(&self, path: &str, is_administrator: bool) -> (u16, String) {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if is_administrator {
            request = request.bearer_auth(&self.key);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The agent's process, from the runtime's own notes.
    pub fn agent_pid(&self) -> i32 {
        let file = self.path("data/studios").join(&self.studio).join("agent.pid");
        let identity: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        i32::try_from(identity["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for Instance {
    /// Ends the studio's processes too: they outlive the program on purpose.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        let marker = format!("ATELIER_STUDIO_ID={}", self.studio);
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = environment.split(|&byte| byte == 0).any(|line| line == marker.as_bytes());
            if ours && let Ok(pid) = entry.file_name().to_string_lossy().parse() {
                nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                )
                .ok();
            }
        }
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}
