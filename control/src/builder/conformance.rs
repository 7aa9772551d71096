//! What every builder does. Scripts are those that all drivers understand: the fake goes by their very text.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use images::{
    compose::{CompileContext, compile},
    plan::{BuildPlan, Fragment, NodeKey, Work},
    template::{Resources, parse},
};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    BuildError, Builder, LogLine, LogSink,
    buildah::{BuildahRunner, BuildahSettings},
    fake::FakeBuilder,
    native::rig::Rig,
    prefix::PrefixBuilder,
};
use crate::{domain::build::ImageRef, process_identity::ProcessIdentity};

#[derive(Default)]
struct Lines(Mutex<Vec<LogLine>>);

#[async_trait]
impl LogSink for Lines {
    async fn line(&self, line: LogLine) {
        self.0.lock().await.push(line);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
fn compiled(base: &str, blocks: serde_json::Value) -> BuildPlan {
    let context = CompileContext {
        base: base.into(),
        platform: "linux/x86_64".into(),
        build_env: BTreeMap::new(),
    };
    let value = json!({"label": "T", "blocks": blocks});
    compile(&parse(&value).unwrap(), &Resources::new(), &context).unwrap().plan
}

/// A plan of one script.
fn plan(base: &str, script: &str) -> BuildPlan {
    let mut plan = compiled(base, json!([{"type": "code_env", "name": "a"}]));
    plan.nodes.truncate(1);
    let Work::Run(run) = &mut plan.nodes[0].work else { panic!("the first node is a script") };
    let Fragment::Script { text, .. } = &mut run.fragment else { panic!("it is a script") };
    script.clone_into(text);
    plan.digest = blake3::hash(script.as_bytes()).to_hex().to_string();
    plan.nodes[0].key = NodeKey(plan.digest.clone());
    plan
}

async fn build(
    builder: &dyn Builder,
    plan: &BuildPlan,
    no_cache: bool,
) -> (Result<ImageRef, BuildError>, Vec<LogLine>) {
    let log = Lines::default();
    let built = builder.build(plan, no_cache, &log, CancellationToken::new()).await;
    (built, log.0.into_inner())
}

/// A script that does not make the same twice.
const RANDOM: &str = "head -c 16 /dev/urandom >\"$PREFIX/random\"";

/// `hang` is a script that goes on until it is ended; `foreign` a template that the builder can't build, where there is one.
async fn conforms(
    builder: &dyn Builder,
    base: &str,
    hang: &str,
    foreign: Option<serde_json::Value>,
) {
    let plan = |script: &str| plan(base, script);
    // The same input is not built again, unless that is asked for; what is in use stays as it was.
    let good = plan(RANDOM);
    let (first, lines) = build(builder, &good, false).await;
    let first = first.unwrap();
    assert!(!lines.is_empty() && first.builder == builder.name() && first.digest == good.digest);
    assert_eq!(build(builder, &good, false).await.0.unwrap(), first);
    let anew = build(builder, &good, true).await.0.unwrap();
    assert!(anew != first && builder.exists(&first).await.unwrap());

    // A failure names its block and node, and is no image: asked again it fails again.
    for _ in 0..2 {
        let failed = build(builder, &plan("fail"), false).await.0;
        assert!(
            matches!(&failed, Err(BuildError::Failed { block: 0, node, .. }) if node == "code_env-a"),
            "{failed:?}"
        );
    }

    // Cancelled before and while it runs.
    let (log, cancel) = (Lines::default(), CancellationToken::new());
    cancel.cancel();
    let cancelled = builder.build(&plan("true"), false, &log, cancel).await;
    assert!(matches!(cancelled, Err(BuildError::Cancelled)), "{cancelled:?}");
    let (log, cancel, hanging) = (Lines::default(), CancellationToken::new(), plan(hang));
    let soon = async {
        while log.0.lock().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cancel.cancel();
    };
    let (cancelled, ()) = tokio::join!(builder.build(&hanging, false, &log, cancel.clone()), soon);
    assert!(matches!(cancelled, Err(BuildError::Cancelled)), "{cancelled:?}");

    // What it can't build is refused by name, before anything runs.
    if let Some(foreign) = foreign {
        let foreign = compiled(base, foreign);
        assert!(matches!(builder.check(&foreign), Err(BuildError::Unsupported { block: 0, .. })));
        let (refused, lines) = build(builder, &foreign, false).await;
        assert!(matches!(refused, Err(BuildError::Unsupported { .. })) && lines.is_empty());
    }

    // Collected is what nothing keeps, and that alone; then it is built as if it had never been.
    builder.collect_garbage(std::slice::from_ref(&anew)).await.unwrap();
    assert!(builder.exists(&anew).await.unwrap() && !builder.exists(&first).await.unwrap());
    builder.collect_garbage(&[]).await.unwrap();
    assert!(!builder.exists(&anew).await.unwrap());
    let (rebuilt, lines) = build(builder, &good, false).await;
    assert!(builder.exists(&rebuilt.unwrap()).await.unwrap() && !lines.is_empty());
}

#[tokio::test]
async fn the_fake_conforms() {
    conforms(&FakeBuilder::default(), "machine", "hang", Some(dockerfile())).await;
}

#[tokio::test]
async fn prefix_conforms() {
    let root = tempfile::tempdir().unwrap();
    let builder = PrefixBuilder::open(root.path(), BTreeMap::new()).unwrap();
    conforms(&builder, "machine", "sleep 600", Some(dockerfile())).await;
}

#[tokio::test]
async fn native_with_buildah_conforms() {
    let rig = Rig::open().await;
    let runner = BuildahRunner::open(BuildahSettings::of_test(&rig)).await.unwrap();
    let builder = rig.builder("one", Some(std::sync::Arc::new(runner)));
    conforms(&builder, &rig.base, "exec sleep 60077", None).await;
    assert!(!runs("60077"), "a cancelled build leaves no process");
}

/// Whether a process with these words is there.
fn runs(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok()).any(
        |line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(words)
        },
    )
}

fn dockerfile() -> serde_json::Value {
    json!([{"type": "dockerfile", "statements": "RUN true"}])
}

const CHILD: &str = "ATELIER_TEST_BUILD_BELOW";
/// Says that it runs, then goes on for long.
const HALF: &str =
    "touch $PREFIX/half; [ -e \"$PREFIX/../../second\" ] || sleep 600; touch $PREFIX/whole";

/// Builds where it is told to; does nothing as a test of its own.
#[tokio::test]
async fn child_that_builds() {
    #[expect(clippy::disallowed_methods, reason = "only a child that this test started has it")]
    let Ok(root) = std::env::var(CHILD) else { return };
    let builder = PrefixBuilder::open(root.as_ref(), BTreeMap::new()).unwrap();
    build(&builder, &plan("machine", HALF), false).await.0.unwrap();
}

#[tokio::test]
async fn a_killed_builder_leaves_no_process_and_nothing_that_passes_for_whole() {
    let root = tempfile::tempdir().unwrap();
    let mut child = crate::spawn::command(std::env::current_exe().unwrap())
        .args(["--exact", "builder::conformance::child_that_builds"])
        .env(CHILD, root.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let running = || {
        let note = std::fs::read_dir(root.path().join("running")).ok()?.next()?.ok()?;
        ProcessIdentity::load(&note.path())
    };
    let half = || {
        let mut nodes = std::fs::read_dir(root.path().join("nodes")).ok()?;
        nodes.next()?.ok().filter(|node| node.path().join("half").exists())
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while half().is_none() || running().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the child does not build");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await.unwrap();
    let script = running().unwrap();
    assert!(
        script.alive(),
        "the script outlives the builder, which is what the next one has to end"
    );
    let builder = PrefixBuilder::open(root.path(), BTreeMap::new()).unwrap();
    while script.alive() {
        assert!(tokio::time::Instant::now() < deadline, "the script goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::fs::write(root.path().join("second"), "").unwrap();
    let image = build(&builder, &plan("machine", HALF), false).await.0.unwrap();
    assert!(builder.image_folder(&image).join("code_env-a/whole").exists());
}
