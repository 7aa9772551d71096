//! The real agent outside of any pod, which says that it is one.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use serde_json::Value;
use tempfile::TempDir;

use crate::{cluster::setting, instance::Instance};

/// Where the pod has its token.
pub const TOKEN: &str = "cat /run/atelier-identity/token";

/// A pod as an agent says it is.
pub struct Claimed {
    pub studio: String,
    pub uid: String,
    pub name: String,
}

/// Where agents dial, and whom they trust there.
pub struct Told(Value);

impl Told {
    pub fn new(instance: &Instance) -> Self {
        Self(instance.namespace.ours("secrets")[0]["data"].clone())
    }

    pub fn get(&self, name: &str) -> String {
        let bytes = BASE64.decode(self.0[name].as_str().unwrap().as_bytes()).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

/// The real agent outside of any pod, with whatever it was given to show.
pub struct Impostor {
    child: Child,
    folder: TempDir,
}

impl Impostor {
    pub fn new(told: &Told, of: &Claimed, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(setting("ATELIER_TEST_AGENT"));
        for name in ["ATELIER_CONTROL_PLANE", "ATELIER_CONTROL_PLANE_NAME", "ATELIER_CA"] {
            command.env(name, told.get(name));
        }
        command.env("ATELIER_STUDIO_ID", &of.studio).env("ATELIER_EPOCH", "1");
        command.env("K8S_POD_ID", &of.uid).env("K8S_POD_NAME", &of.name);
        command.env("ATELIER_TOKEN", token).env("HOME", folder.path());
        command.env("ATELIER_STATE_DIR", folder.path().join("state")).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().unwrap(), folder }
    }

    /// Waits until it has been let in or refused.
    pub async fn is_let_in(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            if log.contains("connected to the control plane") {
                return true;
            }
            if log.contains("the control plane refuses this agent") {
                assert!(log.contains("the credential is wrong or has expired"), "{log}");
                return false;
            }
            assert!(Instant::now() < deadline, "neither: {log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn pod_of(instance: &Instance, studio: &str) -> Claimed {
    let pods = instance.namespace.ours("pods");
    let of = |pod: &&Value| pod["metadata"]["labels"]["atelier.dev/studio"] == studio;
    let pod = pods.iter().find(of).unwrap();
    let text = |name: &str| pod["metadata"][name].as_str().unwrap().to_owned();
    Claimed { studio: studio.to_owned(), uid: text("uid"), name: text("name") }
}

/// For whom the pod's token is meant.
pub fn audience(instance: &Instance) -> String {
    let pod = &instance.namespace.ours("pods")[0];
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let found = volumes.iter().find(|volume| volume["name"] == "identity").unwrap();
    let audience = &found["projected"]["sources"][0]["serviceAccountToken"]["audience"];
    audience.as_str().unwrap().to_owned()
}
