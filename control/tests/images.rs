//! Images for real: a Debian base without any image to begin with, `JupyterLab` and a code environment out of the package index on
//! it, and another program that fetches and starts the result as a user that no image knows. Takes minutes when nothing is cached.

#![allow(clippy::unwrap_used, reason = "a test fails where what it needs is not there")]

#[path = "support/registry.rs"]
mod registry;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use control::{
    builder::{
        Builder as _, LogLine, LogSink,
        buildah::{BuildahRunner, BuildahSettings},
        layer::Packing,
        native::{NativeBuilder, NativeSettings},
        registry::{Registry as Client, RegistrySettings, Repository},
    },
    spawn,
};
use images::{
    compose::{CompileContext, compile},
    template::{Resources, parse},
};
use registry::Registry;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

/// As `OpenShift` gives them.
const STRANGER: &str = "1000770000:0";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const READY: Duration = Duration::from_mins(2);

#[derive(Default)]
struct Lines(Mutex<Vec<LogLine>>);

#[async_trait]
impl LogSink for Lines {
    async fn line(&self, line: LogLine) {
        self.0.lock().await.push(line);
    }
}

impl Lines {
    async fn text(&self) -> String {
        let lines = self.0.lock().await;
        let lines: Vec<String> =
            lines.iter().map(|line| format!("{}: {}", line.node, line.text)).collect();
        lines.join("\n")
    }
}

/// What this machine needs to reach the world.
fn world() -> BTreeMap<String, String> {
    let wanted = |name: &String| {
        let upper = name.to_uppercase();
        upper.starts_with("PIP_") || upper.ends_with("_PROXY")
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// A command's output; it has to succeed.
async fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = spawn::command(program);
    command.args(arguments).envs(std::env::vars_os()).stderr(Stdio::piped());
    let output = command.output().await.unwrap_or_else(|error| {
        panic!("{program} is installed, `make setup` does that: {error}");
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// An image as another program sees it: buildah with a storage of its own.
struct Elsewhere {
    root: PathBuf,
    container: String,
}

impl Elsewhere {
    async fn pull(folder: &Path, image: &str) -> Self {
        let root = folder.join("elsewhere");
        fs::create_dir_all(&root).unwrap();
        let mut pulled = Self { root, container: String::new() };
        let from = format!("docker://{image}");
        let container = pulled.buildah("from", &["--tls-verify=false", "--quiet", &from]).await;
        container.trim().clone_into(&mut pulled.container);
        pulled
    }

    fn arguments<'a>(
        root: &'a str,
        state: &'a str,
        verb: &'a str,
        more: &[&'a str],
    ) -> Vec<&'a str> {
        let mut all = vec!["--root", root, "--runroot", state, "--storage-driver", "overlay", verb];
        all.extend(more);
        all
    }

    async fn buildah(&self, verb: &str, more: &[&str]) -> String {
        let (root, state) = self.folders();
        output("buildah", &Self::arguments(&root, &state, verb, more)).await
    }

    fn folders(&self) -> (String, String) {
        let text = |name| self.root.join(name).to_str().unwrap().to_owned();
        (text("root"), text("state"))
    }

    /// A command line in the container, as a stranger.
    fn run(&self, line: &str) -> tokio::process::Command {
        let (root, state) = self.folders();
        let more = [
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--user",
            STRANGER,
            &self.container,
            "--",
            "/bin/sh",
            "-c",
            line,
        ];
        let mut command = spawn::command("buildah");
        command
            .args(Self::arguments(&root, &state, "run", &more))
            .envs(std::env::vars_os())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn says(&self, line: &str) -> String {
        let output = self.run(line).output().await.unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// Asks until the server in the container answers.
async fn answer(url: &str) -> Value {
    let client = control::http_client::builder().no_proxy().build().unwrap();
    let deadline = Instant::now() + READY;
    loop {
        if let Ok(answer) = client.get(url).send().await {
            return answer.json().await.unwrap();
        }
        assert!(Instant::now() < deadline, "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_on_a_base_of_packages_runs_as_a_user_that_no_image_knows() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await;
    let base = format!("{}/bases/debian:12", registry.host);
    let program = env!("CARGO_BIN_EXE_atelier");
    let made = output(program, &["--json", "base-image", "build", &base, "--plain-http"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let base = made["image"].as_str().unwrap();

    let plain_http = BTreeSet::from([registry.host.clone()]);
    let target = Repository { registry: registry.host.clone(), name: "studios".into() };
    let bundle = Path::new(BUNDLE).exists().then(|| PathBuf::from(BUNDLE));
    let runner = BuildahRunner::open(BuildahSettings {
        folder: folder.path().join("buildah"),
        target: target.clone(),
        storage_driver: "overlay".into(),
        plain_http: plain_http.clone(),
        docker_config: None,
        ca_bundle: bundle,
        build_env: world(),
    });
    let agent = folder.path().join("agent");
    fs::write(&agent, "#!/bin/sh\necho the agent\n").unwrap();
    let settings = NativeSettings {
        target,
        agent: Some(agent),
        packing: Packing::Zstd,
        folder: folder.path().join("images"),
        build_env: world(),
    };
    let client =
        Client::open(RegistrySettings { plain_http, ..RegistrySettings::default() }).unwrap();
    let runner: Arc<dyn control::builder::runner::Runner> = Arc::new(runner.await.unwrap());
    let builder = NativeBuilder::open(settings, client, Some(runner)).unwrap();

    let template = parse(&json!({"label": "Real", "blocks": [
        {"type": "code_env", "name": "science", "packages": ["six==1.17.0"]},
        {"type": "jupyterlab"},
        {"type": "dockerfile", "statements": "RUN /opt/studio/code_env-science/bin/python -c 'import six' && echo seen >/srv/seen", "as_root": true},
    ]}))
    .unwrap();
    let context = CompileContext {
        base: base.to_owned(),
        platform: format!("linux/{}", std::env::consts::ARCH),
        build_env: world(),
    };
    let plan = compile(&template, &Resources::new(), &context).unwrap().plan;
    let log = Lines::default();
    let built = builder.build(&plan, false, &log, CancellationToken::new()).await;
    let Ok(image) = built else { panic!("{built:?}, with the log\n{}", log.text().await) };

    let pulled = Elsewhere::pull(folder.path(), &image.reference).await;
    assert_eq!(pulled.says("/opt/atelier/agent").await, "the agent");
    assert_eq!(pulled.says("cat /srv/seen").await, "seen");
    // What Python has compiled is believed though files have no times: nothing is compiled again, by whoever may write or not.
    let python = "/opt/studio/code_env-science/bin/python -v -c 'import six' 2>&1";
    let loaded = pulled.says(&format!("{python} | grep six")).await;
    assert!(loaded.contains("matches") && !loaded.contains("wrote"), "{loaded}");
    // And they may write: blocks' folders are group 0's.
    assert_eq!(pulled.says("touch /opt/studio/jupyterlab/new && id -g").await, "0");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!(
        "export HOME=/tmp/home; mkdir $HOME; exec /opt/studio/jupyterlab/bin/jupyter lab --no-browser --port={port} --ip=127.0.0.1"
    );
    let mut server = pulled.run(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let version = answer(&format!("http://127.0.0.1:{port}/api")).await;
    assert!(version["version"].is_string(), "{version}");
    let group = nix::unistd::Pid::from_raw(i32::try_from(server.id().unwrap()).unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    server.wait().await.unwrap();
    pulled.buildah("rm", &["--all"]).await;
}
