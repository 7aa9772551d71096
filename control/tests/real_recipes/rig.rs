//! A studio as far as an entrypoint sees it, and where what is installed is kept.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use control::{
    builder::{LogLine, LogSink},
    spawn,
};
use images::launch::{Entrypoint, StarterFile, StarterSource};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Child, sync::Mutex, time::Instant};

pub(crate) const SECRET: &str = "of-this-studio";
/// What a server may take until it answers, on a busy machine.
const READY: Duration = Duration::from_mins(2);

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<LogLine>>);

#[async_trait]
impl LogSink for Lines {
    async fn line(&self, line: LogLine) {
        self.0.lock().await.push(line);
    }
}

impl Lines {
    pub(crate) async fn text(&self) -> String {
        let lines = self.0.lock().await;
        let lines: Vec<String> =
            lines.iter().map(|line| format!("{}: {}", line.node, line.text)).collect();
        lines.join("\n")
    }
}

/// What this machine needs to reach its package index.
pub(crate) fn build_env() -> BTreeMap<String, String> {
    let wanted = |name: &String| {
        let upper = name.to_uppercase();
        upper.starts_with("PIP_")
            || upper.starts_with("NPM_CONFIG_")
            || upper.ends_with("_PROXY")
            || upper.starts_with("SSL_CERT")
            || upper == "NODE_EXTRA_CA_CERTS"
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// A studio as far as an entrypoint sees it.
pub(crate) struct Studio {
    variables: BTreeMap<String, String>,
}

impl Studio {
    pub(crate) fn new(prefix: &Path, root: &Path, path: &[String]) -> Self {
        for folder in ["home", "workspace"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        // The block asks for R before it starts what stands in for its server.
        let tools = root.join("tools");
        fs::create_dir(&tools).unwrap();
        std::os::unix::fs::symlink("/bin/true", tools.join("R")).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let own: Vec<String> = path.iter().map(|folder| text(&prefix.join(folder))).collect();
        let variables = [
            ("ATELIER_PREFIX", text(prefix)),
            ("ATELIER_WORKSPACE", text(&root.join("workspace"))),
            ("ATELIER_STUDIO_SECRET", SECRET.to_owned()),
            ("ATELIER_LISTEN_ADDRESS", "127.83.29.7".to_owned()),
            ("HOME", text(&root.join("home"))),
            ("PATH", format!("{}:{}:/usr/local/bin:/usr/bin:/bin", own.join(":"), text(&tools))),
        ];
        let mut variables: BTreeMap<String, String> =
            variables.map(|(name, value)| (name.to_owned(), value)).into();
        for port in [7860, 8090, 8181, 8501, 8787, 8866, 8888] {
            let name = format!("DKU_CODE_STUDIO_BROWSER_PATH_{port}");
            variables.insert(name, format!("/code-studios/DEMO/abcdefgh/{port}"));
        }
        Self { variables }
    }

    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = text.to_owned();
        for (name, value) in &self.variables {
            expanded = expanded.replace(&format!("${{{name}}}"), value);
        }
        assert!(!expanded.contains("${"), "{text} names something that a studio does not have");
        expanded
    }

    pub(crate) fn start(&self, entrypoint: &Entrypoint) -> Child {
        let words: Vec<String> = entrypoint.command.iter().map(|word| self.expand(word)).collect();
        let mut command = spawn::command(&words[0]);
        command
            .args(&words[1..])
            .current_dir(&self.variables["ATELIER_WORKSPACE"])
            .envs(&self.variables)
            .envs(entrypoint.env.iter().map(|(name, value)| (name, self.expand(value))))
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Where it listens, without the prefix that a proxy takes away.
    pub(crate) fn address(&self, port: u16) -> String {
        format!("http://{}:{port}", self.variables["ATELIER_LISTEN_ADDRESS"])
    }

    /// The files that a new studio begins with.
    pub(crate) fn put_starter_files(&self, files: &[StarterFile]) {
        for file in files {
            let StarterSource::Text(text) = &file.source else { continue };
            let path = self.workspace().join(&file.zone).join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.variables["ATELIER_WORKSPACE"].clone().into()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.variables["HOME"].clone().into()
    }

    pub(crate) fn base_url(&self, port: u16) -> String {
        let path = &self.variables[&format!("DKU_CODE_STUDIO_BROWSER_PATH_{port}")];
        format!("http://{}:{port}{path}", self.variables["ATELIER_LISTEN_ADDRESS"])
    }
}

/// Ends a server with all that it has started.
pub(crate) async fn stop(mut server: Child) {
    let group = Pid::from_raw(i32::try_from(server.id().unwrap()).unwrap());
    killpg(group, Signal::SIGKILL).unwrap();
    server.wait().await.unwrap();
}

/// Asks until the server answers at all; it must not end meanwhile.
pub(crate) async fn ready(
    client: &reqwest::Client,
    server: &mut Child,
    url: &str,
) -> reqwest::StatusCode {
    let deadline = Instant::now() + READY;
    loop {
        if let Ok(answer) = client.get(url).send().await
            && answer.status() != 503
        {
            return answer.status();
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{url} does not answer: {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The store of what was installed, kept from run to run, with the lock that makes it this program's alone.
pub(crate) fn kept() -> (PathBuf, fs::File) {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = cache.or_else(home).unwrap().join("atelier/prefix-tests");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    (folder, lock)
}
