use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use async_trait::async_trait;
use images::{
    compose::{CompileContext, compile},
    plan::{BuildPlan, Fragment, NodeKey, Work},
    template::{Resources, parse},
};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::PrefixBuilder;
use crate::builder::{BuildError, Builder, LogLine, LogSink};

#[derive(Default)]
struct Lines(Mutex<Vec<LogLine>>);

#[async_trait]
impl LogSink for Lines {
    async fn line(&self, line: LogLine) {
        self.0.lock().await.push(line);
    }
}

impl Lines {
    async fn has(&self, text: &str) -> bool {
        self.0.lock().await.iter().any(|line| line.text.contains(text))
    }
}

/// A plan with one script that stands for what a block installs.
fn plan(script: &str) -> BuildPlan {
    let value = json!({"label": "T", "blocks": [{"type": "code_env", "name": "a"}]});
    let context =
        CompileContext { base: "machine".into(), platform: "p".into(), build_env: BTreeMap::new() };
    let mut plan = compile(&parse(&value).unwrap(), &Resources::new(), &context).unwrap().plan;
    let Work::Run(run) = &mut plan.nodes[0].work else {
        panic!("a code environment runs a script")
    };
    let Fragment::Script { text, .. } = &mut run.fragment else {
        panic!("a code environment runs a script")
    };
    script.clone_into(text);
    let digest = blake3::hash(script.as_bytes()).to_hex().to_string();
    plan.nodes[0].key = NodeKey(digest.clone());
    plan.digest = digest;
    plan
}

fn open(root: &Path) -> PrefixBuilder {
    let build_env =
        [("PIP_INDEX_URL".to_owned(), "https://user:hunter2@index.example".to_owned())].into();
    PrefixBuilder::open(root, build_env).unwrap()
}

async fn build(
    builder: &PrefixBuilder,
    plan: &BuildPlan,
    log: &Lines,
) -> Result<crate::domain::build::ImageRef, BuildError> {
    builder.build(plan, false, log, CancellationToken::new()).await
}

#[tokio::test]
async fn what_is_built_is_there_and_is_not_built_again() {
    let root = tempfile::tempdir().unwrap();
    let builder = open(root.path());
    let plan =
        plan("echo installing-now $PIP_INDEX_URL; mkdir $PREFIX/bin; echo x >$PREFIX/bin/tool");
    let log = Lines::default();
    let image = build(&builder, &plan, &log).await.unwrap();
    assert!(log.has("installing-now https://***@index.example").await && !log.has("hunter2").await);
    let folder = builder.image_folder(&image);
    assert_eq!(fs::read_to_string(folder.join("code_env-a/bin/tool")).unwrap(), "x\n");
    assert!(folder.join("share/jupyter/kernels/a/kernel.json").is_file());
    let again = Lines::default();
    assert_eq!(build(&builder, &plan, &again).await.unwrap(), image);
    assert!(!again.has("installing-now").await);
    assert!(builder.exists(&image).await.unwrap());
    // Built anew on demand, while the image in use stays as it was.
    let anew = builder.build(&plan, true, &again, CancellationToken::new()).await.unwrap();
    assert!(anew != image && folder.join("code_env-a/bin/tool").is_file());
    builder.collect_garbage(std::slice::from_ref(&anew)).await.unwrap();
    assert!(!builder.exists(&image).await.unwrap() && builder.exists(&anew).await.unwrap());
}

#[tokio::test]
async fn a_failed_script_is_named_with_its_last_words_and_leaves_nothing_whole() {
    let root = tempfile::tempdir().unwrap();
    let builder = open(root.path());
    let plan = plan("touch $PREFIX/half; echo no such package >&2; exit 3");
    let error = build(&builder, &plan, &Lines::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("code_env-a") && text.contains("no such package") && text.contains('3'),
        "{text}"
    );
    assert!(!root.path().join("nodes").join(&plan.nodes[0].key.0).exists());
    builder.collect_garbage(&[]).await.unwrap();
    assert_eq!(fs::read_dir(root.path().join("nodes")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_cancelled_build_leaves_no_process() {
    let root = tempfile::tempdir().unwrap();
    let builder = open(root.path());
    // The grandchild ignores SIGTERM and would stay for long.
    let plan = plan(
        "trap '' TERM; (trap '' TERM; echo $$ started; exec sleep 600) & echo $! >$PREFIX/pid; echo waiting; wait",
    );
    let (log, cancel) = (Lines::default(), CancellationToken::new());
    let cancelling = async {
        while !log.has("waiting").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let (built, ()) = tokio::join!(builder.build(&plan, false, &log, cancel.clone()), cancelling);
    assert!(matches!(built, Err(BuildError::Cancelled)));
    let node = fs::read_dir(root.path().join("nodes")).unwrap().next().unwrap().unwrap().path();
    let pid: i32 = fs::read_to_string(node.join("pid")).unwrap().trim().parse().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while Path::new(&format!("/proc/{pid}")).exists() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        !Path::new(&format!("/proc/{pid}/cmdline")).exists()
            || fs::read(format!("/proc/{pid}/cmdline")).unwrap().is_empty()
    );
}

#[tokio::test]
async fn a_dockerfile_is_refused_before_anything_runs_with_the_runtimes_that_can() {
    let value = json!({"label": "T", "blocks": [{"type": "jupyterlab"}, {"type": "dockerfile", "statements": "RUN true"}]});
    let context =
        CompileContext { base: "machine".into(), platform: "p".into(), build_env: BTreeMap::new() };
    let plan = compile(&parse(&value).unwrap(), &Resources::new(), &context).unwrap().plan;
    let root = tempfile::tempdir().unwrap();
    let log = Lines::default();
    let error = build(&open(root.path()), &plan, &log).await.unwrap_err();
    assert!(matches!(&error, BuildError::Unsupported { block: 1, .. }));
    assert!(error.to_string().contains("docker, kubernetes"));
    assert!(log.0.lock().await.is_empty());
}
