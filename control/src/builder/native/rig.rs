//! What tests of this builder stand on: a real registry, with a small base image that has a shell.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use images::{
    compose::{CompileContext, compile},
    plan::BuildPlan,
    template::{Resources, parse},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{NativeBuilder, NativeSettings};
use crate::builder::{
    LogLine, LogSink,
    layer::{self, Entry, Kind, Packing},
    registry::{Content, Descriptor, Manifest, Registry, media_types, served::Served},
    runner::Runner,
};

/// Debian's `busybox-static`: a whole user land in one file.
const BUSYBOX: &str = "/bin/busybox";
const TOOLS: [&str; 18] = [
    "sh", "cat", "cp", "echo", "env", "head", "id", "kill", "ln", "ls", "mkdir", "mv", "rm",
    "sleep", "test", "touch", "true", "[",
];

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<LogLine>>);

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

/// A registry with a base image, and folders for builders.
pub(crate) struct Rig {
    pub(crate) served: Served,
    pub(crate) folder: TempDir,
    /// The base, by digest.
    pub(crate) base: String,
}

impl Rig {
    pub(crate) async fn open() -> Self {
        let served = Served::open().await;
        let base = push_base(&served, "of Debian").await;
        Self { served, folder: tempfile::tempdir().unwrap(), base }
    }

    pub(crate) fn settings(&self, agent: &str) -> NativeSettings {
        let binary = self.folder.path().join(format!("agent-{agent}"));
        if !binary.exists() {
            std::fs::write(&binary, format!("#!/bin/sh\necho {agent}\n")).unwrap();
        }
        NativeSettings {
            target: self.served.repository("atelier/studios"),
            agent: Some(binary),
            packing: Packing::Zstd,
            folder: self.folder.path().join("builder"),
            build_env: BTreeMap::new(),
        }
    }

    pub(crate) fn registry(&self) -> Registry {
        self.served.client()
    }

    pub(crate) fn builder(&self, agent: &str, runner: Option<Arc<dyn Runner>>) -> NativeBuilder {
        NativeBuilder::open(self.settings(agent), self.registry(), runner).unwrap()
    }

    pub(crate) fn plan(&self, blocks: Value, resources: &[(&str, &str)]) -> BuildPlan {
        plan_on(&self.base, blocks, resources)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
pub(crate) fn plan_on(base: &str, blocks: Value, resources: &[(&str, &str)]) -> BuildPlan {
    let context = CompileContext {
        base: base.to_owned(),
        platform: "linux/x86_64".into(),
        build_env: BTreeMap::new(),
    };
    let resources: Resources =
        resources.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect();
    let template = parse(&json!({"label": "T", "blocks": blocks})).unwrap();
    compile(&template, &resources, &context).unwrap().plan
}

/// Pushes a base image whose `/etc/motd` says so; answers with its name by digest.
pub(crate) async fn push_base(served: &Served, motd: &str) -> String {
    let (registry, at) = (served.client(), served.repository("bases/busybox"));
    let folder = tempfile::tempdir().unwrap();
    let length = std::fs::metadata(BUSYBOX)
        .expect("busybox-static is installed: `make setup` does that")
        .len();
    let file = |path: &str, content| Entry::new(path, Kind::File { content, executable: true });
    let mut entries = vec![
        file("bin/busybox", layer::Content::File(Path::new(BUSYBOX).to_owned(), length)),
        file("etc/motd", layer::Content::Bytes(motd.as_bytes().into())),
        file(
            "etc/passwd",
            layer::Content::Bytes(b"root:x:0:0:root:/root:/bin/sh\n".as_slice().into()),
        ),
    ];
    for folder in ["tmp", "opt", "root", "var", "proc", "sys", "dev", "etc/ssl/certs"] {
        entries.push(Entry::new(folder, Kind::Folder));
    }
    for tool in TOOLS {
        let link = Kind::Symlink(b"busybox".to_vec());
        entries.push(Entry::new(format!("bin/{tool}"), link));
    }
    let path = folder.path().join("layer");
    let written = layer::write(entries, Packing::Gzip, &path).unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [written.diff_id]},
    });
    let config = serde_json::to_vec(&config).unwrap();
    let blob = Descriptor::of(media_types::CONFIG, &config);
    registry.ensure_blob(&at, &blob, None, &Content::Bytes(config.into())).await.unwrap();
    registry.ensure_blob(&at, &written.blob, None, &Content::File(path)).await.unwrap();
    let manifest = serde_json::to_vec(&Manifest::new(blob, vec![written.blob])).unwrap();
    let pushed = registry.put_manifest(&at, media_types::MANIFEST, manifest.into(), &["latest"]);
    format!("{at}@{}", pushed.await.unwrap().digest)
}
