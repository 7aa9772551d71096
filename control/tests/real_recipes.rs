//! The blocks' recipes for real: `JupyterLab`, Streamlit and a code environment are installed from the package index by the
//! `prefix` builder, started by the launch specification's own command lines, and asked over HTTP. Takes a minute or two.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use async_trait::async_trait;
use control::{
    builder::{Builder as _, LogLine, LogSink, prefix::PrefixBuilder},
    spawn,
};
use images::{
    compose::{CompileContext, compile},
    launch::Entrypoint,
    template::{Resources, parse},
};
use serde_json::{Value, json};
use tokio::{process::Child, sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "of-this-studio";
/// What a server may take until it answers, on a busy machine.
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

/// What this machine needs to reach its package index.
fn build_env() -> BTreeMap<String, String> {
    let wanted = |name: &String| {
        let upper = name.to_uppercase();
        upper.starts_with("PIP_") || upper.ends_with("_PROXY") || upper.starts_with("SSL_CERT")
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// A studio as far as an entrypoint sees it.
struct Studio {
    variables: BTreeMap<String, String>,
}

impl Studio {
    fn new(prefix: &Path, root: &Path, path: &[String]) -> Self {
        for folder in ["home", "workspace/code_studio-versioned/streamlit"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let own: Vec<String> = path.iter().map(|folder| text(&prefix.join(folder))).collect();
        let variables = [
            ("ATELIER_PREFIX", text(prefix)),
            ("ATELIER_WORKSPACE", text(&root.join("workspace"))),
            ("ATELIER_STUDIO_SECRET", SECRET.to_owned()),
            ("ATELIER_LISTEN_ADDRESS", "127.83.29.7".to_owned()),
            ("DKU_CODE_STUDIO_BROWSER_PATH_8888", "/code-studios/DEMO/abcdefgh/8888".to_owned()),
            ("DKU_CODE_STUDIO_BROWSER_PATH_8501", "/code-studios/DEMO/abcdefgh/8501".to_owned()),
            ("HOME", text(&root.join("home"))),
            ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", own.join(":"))),
        ];
        Self { variables: variables.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    fn expand(&self, text: &str) -> String {
        let mut expanded = text.to_owned();
        for (name, value) in &self.variables {
            expanded = expanded.replace(&format!("${{{name}}}"), value);
        }
        assert!(!expanded.contains("${"), "{text} names something that a studio does not have");
        expanded
    }

    fn start(&self, entrypoint: &Entrypoint) -> Child {
        let words: Vec<String> = entrypoint.command.iter().map(|word| self.expand(word)).collect();
        let mut command = spawn::command(&words[0]);
        command
            .args(&words[1..])
            .current_dir(&self.variables["ATELIER_WORKSPACE"])
            .envs(&self.variables)
            .envs(entrypoint.env.iter().map(|(name, value)| (name, self.expand(value))))
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    fn base_url(&self, port: u16) -> String {
        let path = &self.variables[&format!("DKU_CODE_STUDIO_BROWSER_PATH_{port}")];
        format!("http://{}:{port}{path}", self.variables["ATELIER_LISTEN_ADDRESS"])
    }
}

/// Asks until the server answers at all; it must not end meanwhile.
async fn ready(client: &reqwest::Client, server: &mut Child, url: &str) -> reqwest::StatusCode {
    let deadline = Instant::now() + READY;
    loop {
        if let Ok(answer) = client.get(url).send().await {
            return answer.status();
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{url} does not answer: {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_install_from_the_package_index_and_their_servers_answer() {
    let spec = parse(&json!({"label": "Real", "blocks": [
        {"type": "code_env", "name": "science", "packages": ["six==1.17.0"]},
        {"type": "jupyterlab"},
        {"type": "streamlit"},
    ]}))
    .unwrap();
    let context =
        CompileContext { base: "machine".into(), platform: "linux".into(), build_env: [].into() };
    let compiled = compile(&spec, &Resources::new(), &context).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let builder = PrefixBuilder::open(&folder.path().join("prefix"), build_env()).unwrap();
    let log = Lines::default();
    let built = builder.build(&compiled.plan, false, &log, CancellationToken::new()).await;
    let Ok(image) = built else {
        panic!("{built:?}, with the log\n{}", log.text().await);
    };
    let prefix = builder.image_folder(&image);

    // Exact versions are written down, and the same input is not built again.
    let lock = fs::read_to_string(prefix.join("code_env-science/lock.txt")).unwrap();
    assert!(lock.contains("six==1.17.0") && lock.contains("ipykernel=="), "{lock}");
    let again = Lines::default();
    let same = builder.build(&compiled.plan, false, &again, CancellationToken::new()).await;
    assert_eq!(same.unwrap(), image);
    assert!(!again.text().await.contains("installing"), "{}", again.text().await);

    let studio = Studio::new(&prefix, &folder.path().join("studio"), &compiled.launch.path);
    let entrypoint = |id: &str| {
        compiled.launch.entrypoints.iter().find(|entrypoint| entrypoint.id == id).unwrap()
    };
    let client = control::http_client::builder().no_proxy().build().unwrap();

    let mut jupyter = studio.start(entrypoint("jupyterlab"));
    let base = studio.base_url(8888);
    assert_eq!(ready(&client, &mut jupyter, &format!("{base}/api")).await, 200);
    assert_eq!(client.get(format!("{base}/api/kernels")).send().await.unwrap().status(), 403);
    let asked = |request: reqwest::RequestBuilder| {
        request.header("authorization", format!("token {SECRET}")).send()
    };
    let specs = asked(client.get(format!("{base}/api/kernelspecs"))).await.unwrap();
    let specs: Value = specs.json().await.unwrap();
    assert_eq!(specs["kernelspecs"]["science"]["spec"]["display_name"], "science", "{specs}");
    let kernel =
        asked(client.post(format!("{base}/api/kernels")).json(&json!({"name": "science"})));
    let kernel: Value = kernel.await.unwrap().json().await.unwrap();
    let id = kernel["id"].as_str().unwrap();
    let ended = asked(client.delete(format!("{base}/api/kernels/{id}"))).await.unwrap();
    assert_eq!(ended.status(), 204);
    jupyter.kill().await.unwrap();

    let app = studio.expand("${ATELIER_WORKSPACE}/code_studio-versioned/streamlit/app.py");
    fs::write(app, "import streamlit\nstreamlit.write('hello')\n").unwrap();
    let mut streamlit = studio.start(entrypoint("streamlit"));
    let base = studio.base_url(8501);
    assert_eq!(ready(&client, &mut streamlit, &format!("{base}/_stcore/health")).await, 200);
    assert!(client.get(format!("{base}/")).send().await.unwrap().status().is_success());
    streamlit.kill().await.unwrap();
}
