//! The program outside of the cluster, in a folder of its own, as a process that can be killed.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cluster::{Namespace, setting},
    events::Events,
    link::Link,
};

const PATIENCE: Duration = Duration::from_mins(2);

/// A running program, an administrator's key, a project, a template and a studio.
pub struct Instance {
    folder: TempDir,
    child: Option<Child>,
    http: Client,
    pub url: String,
    pub apps_url: String,
    pub key: String,
    pub studio: String,
    pub template: String,
    /// Where images come from: arguments of the program.
    images: Vec<String>,
    /// What agents dial.
    agents_address: String,
    pub namespace: Namespace,
}

/// What every studio of these suites has.
pub fn blocks() -> Value {
    json!([
        {"type": "entrypoint", "label": "Web", "port": 8000, "expose": true, "proxied_subpath": "/",
         "command": "echo begins; echo served > index.html; exec httpd -f -v -p 8000"},
        {"type": "action", "name": "Count", "command_line": "seq 1 \"$ATELIER_INPUT_UPTO\"; exit 7",
         "inputs": [{"name": "UPTO", "default": "3"}]},
        {"type": "starter_files", "files": [
            {"text": "begin\n", "zone": "code_studio-versioned", "path": "start.txt"}]},
    ])
}

impl Instance {
    /// With a studio that is not started yet.
    pub async fn new() -> Self {
        Self::with(blocks(), json!({})).await
    }

    /// `settings`: of the cluster, beside its namespace.
    pub async fn with(blocks: Value, settings: Value) -> Self {
        Self::of_image(&setting("ATELIER_TEST_IMAGE"), blocks, settings).await
    }

    /// Agents come over a network that can be cut.
    pub async fn behind(link: &Link, blocks: Value) -> Self {
        let images = vec!["--image".to_owned(), setting("ATELIER_TEST_IMAGE")];
        let instance = Self::reached_at(&link.address, images, blocks, json!({})).await;
        let port = fs::read_to_string(instance.path("data/agents.port")).unwrap();
        link.lead_to(port.trim().parse().unwrap());
        instance
    }

    /// Studios run in this image, as it is.
    pub async fn of_image(image: &str, blocks: Value, settings: Value) -> Self {
        Self::of_images(vec!["--image".to_owned(), image.to_owned()], blocks, settings).await
    }

    /// Images are built of templates, onto a base without an agent.
    pub async fn building(blocks: Value, more: &[&str]) -> Self {
        let registry = setting("ATELIER_TEST_REGISTRY");
        let repository = format!("{registry}/built");
        let (base, agent) =
            (setting("ATELIER_TEST_IMAGE_WITHOUT_AGENT"), setting("ATELIER_TEST_AGENT"));
        let mut images = vec!["--image-repository", &repository, "--plain-http", &registry];
        images.extend(["--base-image", &base, "--agent-binary", &agent]);
        images.extend(more);
        let images = images.into_iter().map(ToOwned::to_owned).collect();
        Self::of_images(images, blocks, json!({})).await
    }

    async fn of_images(images: Vec<String>, blocks: Value, settings: Value) -> Self {
        Self::reached_at(&setting("ATELIER_TEST_ADDRESS"), images, blocks, settings).await
    }

    async fn reached_at(
        address: &str,
        images: Vec<String>,
        blocks: Value,
        mut settings: Value,
    ) -> Self {
        // An error says only that an earlier test has done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (folder, namespace) = (tempfile::tempdir().unwrap(), Namespace::new());
        settings["namespace"] = json!(namespace.name);
        fs::write(folder.path().join("kubernetes.yaml"), settings.to_string()).unwrap();
        let mut instance = Self {
            folder,
            child: None,
            http: Client::builder().no_proxy().build().unwrap(),
            url: String::new(),
            apps_url: String::new(),
            key: String::new(),
            studio: String::new(),
            template: String::new(),
            images,
            agents_address: address.to_owned(),
            namespace,
        };
        instance.start().await;
        let project = json!({"key": "DEMO", "name": "Demo"});
        instance.call(Method::POST, "/projects", Some(project)).await;
        let template = json!({"spec": {"label": "T", "blocks": blocks}});
        let template = instance.call(Method::POST, "/templates", Some(template)).await;
        let id = template["id"].as_str().unwrap();
        instance.build(id).await;
        id.clone_into(&mut instance.template);
        instance.new_studio("lab").await;
        instance
    }

    /// Makes another studio of the template, and turns to it.
    pub async fn new_studio(&mut self, name: &str) {
        let studio = json!({"name": name, "template": self.template});
        let studio = self.call(Method::POST, "/projects/DEMO/studios", Some(studio)).await;
        studio["id"].as_str().unwrap().clone_into(&mut self.studio);
    }

    /// Another program in the same namespace, on a copy of this one's data as it is now.
    pub async fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "kubernetes.yaml"] {
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(self.path(name)).arg(folder.path());
            assert!(copy.status().unwrap().success());
        }
        let mut copy = Self {
            folder,
            child: None,
            http: self.http.clone(),
            url: String::new(),
            apps_url: String::new(),
            key: String::new(),
            studio: self.studio.clone(),
            template: self.template.clone(),
            images: self.images.clone(),
            agents_address: self.agents_address.clone(),
            namespace: Namespace { name: self.namespace.name.clone() },
        };
        copy.start().await;
        copy
    }

    /// Waits until the program's log has these words.
    pub async fn until_logged(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "{words:?} is not in {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program, also again after it was killed; returns when it serves.
    pub async fn start(&mut self) {
        let ready = self.path("ready.json");
        drop(fs::remove_file(&ready));
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut command = Command::new(setting("ATELIER_BINARY"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--listen-agents", "0.0.0.0:0"]);
        command.args(["--agents-address", &self.agents_address]);
        command.args(["--runtime", "kubernetes"]).args(&self.images);
        command.arg("--kubernetes").arg(self.path("kubernetes.yaml"));
        command.arg("--data").arg(self.path("data")).arg("--ready-file").arg(&ready);
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
        ready["apps_url"].as_str().unwrap().clone_into(&mut self.apps_url);
        ready["api_key"].as_str().unwrap().clone_into(&mut self.key);
    }

    /// `kill -9`, without any warning.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
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
        let body = json!({"command": ["sh", "-c", line]});
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

    pub async fn zone_bytes(&self, path: &str) -> Option<Vec<u8>> {
        let url = format!("{}/api/v1{}", self.url, self.zone(&format!("/content?path={path}")));
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.unwrap();
        if answer.status().is_success() {
            Some(answer.bytes().await.unwrap().to_vec())
        } else {
            None
        }
    }

    /// Server-sent events; `None` where they are refused.
    pub async fn stream(&self, path: &str) -> Option<Events> {
        let url = format!("{}/api/v1{path}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.unwrap();
        answer.status().is_success().then(|| Events::new(answer))
    }

    pub async fn put_zone_text(&self, path: &str, text: &str) {
        let url = format!("{}/api/v1{}", self.url, self.zone(&format!("/content?path={path}")));
        let answer =
            self.http.put(url).bearer_auth(&self.key).body(text.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Builds the newest version of the template.
    pub async fn build(&self, template: &str) -> Value {
        let build = self.call(Method::POST, &format!("/templates/{template}/builds"), None).await;
        let build = format!("/builds/{}", build["id"].as_str().unwrap());
        let done = self.until(&build, |build| build["ended_at"].is_string()).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        done
    }

    pub async fn put_bytes(&self, path: &str, bytes: &str) {
        let url = format!("{}/api/v1{path}", self.url);
        let request = self.http.put(url).bearer_auth(&self.key).body(bytes.to_owned());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// A page of the studio's application, through the proxy.
    pub async fn app(&self, port: u16, path: &str) -> (u16, String) {
        let origin =
            self.apps_url.replace("{port}", &port.to_string()).replace("{studio}", &self.studio);
        let host = origin.trim_start_matches("http://").to_owned();
        let (_, listening) = self.url.rsplit_once(':').unwrap();
        let place = format!("/code-studios/DEMO/{}/{port}{path}", self.studio);
        let request = self.http.get(format!("http://127.0.0.1:{listening}{place}"));
        let answer = request.header("host", host).bearer_auth(&self.key).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until the application's page comes: routes follow a start within a moment.
    pub async fn until_served(&self, port: u16, path: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, text) = self.app(port, path).await;
            if status == 200 {
                return text;
            }
            assert!(Instant::now() < deadline, "{status} {text}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until commands reach the studio again.
    pub async fn until_connected(&self) {
        let deadline = Instant::now() + PATIENCE;
        let body = || Some(json!({"command": ["true"]}));
        while self.send(Method::POST, &self.at("/exec"), body()).await.0 >= 300 {
            assert!(Instant::now() < deadline, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until nothing of the studio is left in the cluster.
    pub async fn until_gone(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.namespace.left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left: {left:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for a start that fails; answers why.
    pub async fn failed_start(&self) -> String {
        let task = self.call(Method::POST, &self.at("/start"), None).await;
        let task = format!("/tasks/{}", task["id"].as_str().unwrap());
        let done = self.until(&task, |task| task["state"] != "running").await;
        assert_eq!(done["state"], "failed", "{done}");
        self.until(&self.at(""), |studio| studio["state"] == "STOPPED").await;
        done["failure"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}
