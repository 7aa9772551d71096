//! The cluster as `kubectl` sees it: what the program left there, and what goes wrong in it.

use std::{
    io::Write as _,
    process::{Command, Output},
};

use serde_json::Value;

/// A setting of the suite.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-kube`"))
}

/// A namespace of a test's own; removed with all that is in it.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn new() -> Self {
        let bytes: [u8; 5] = rand::random();
        let name = format!("test-{}", data_encoding::HEXLOWER.encode(&bytes));
        let namespace = Self { name };
        namespace.kubectl(&["create", "namespace", &namespace.name]);
        // As strict as Kubernetes has it: pods that are not *restricted* are refused.
        let level = "pod-security.kubernetes.io/enforce=restricted";
        namespace.kubectl(&["label", "namespace", &namespace.name, level]);
        namespace
    }

    fn run(&self, words: &[&str]) -> Output {
        let program = std::env::var("ATELIER_KUBECTL").unwrap_or_else(|_| "kubectl".into());
        Command::new(program).args(["--namespace", &self.name]).args(words).output().unwrap()
    }

    /// Standard output of a command that has to succeed.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> String {
        let done = self.run(words);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "kubectl {words:?}: {said}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Makes an object.
    pub fn apply(&self, object: &Value) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(object.to_string().as_bytes()).unwrap();
        self.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
    }

    /// All objects of a kind that the program made.
    pub fn ours(&self, kinds: &str) -> Vec<Value> {
        let text = self.kubectl(&[
            "get",
            kinds,
            "-l",
            "app.kubernetes.io/managed-by=atelier",
            "-o",
            "json",
        ]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Names of everything that the program made and has not removed.
    pub fn left(&self) -> Vec<String> {
        let kinds = "deployments,replicasets,pods,services,secrets,serviceaccounts,networkpolicies,persistentvolumeclaims";
        let name = |object: &Value| format!("{}/{}", object["kind"], object["metadata"]["name"]);
        self.ours(kinds).iter().map(name).collect()
    }

    /// The only pod.
    pub fn pod(&self) -> String {
        let pods = self.ours("pods");
        assert_eq!(pods.len(), 1, "{pods:?}");
        pods[0]["metadata"]["name"].as_str().unwrap().to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for words in [&["get", "all"][..], &["get", "events"], &["describe", "pods"]] {
                println!("{}", String::from_utf8_lossy(&self.run(words).stdout));
            }
        }
        self.run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
