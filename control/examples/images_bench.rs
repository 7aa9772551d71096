//! How long the builder takes for what happens every day, to pushed. Driven by `tests/bench/images.py`, which serves the registry, makes
//! the base and measures others. Writes one JSON object: milliseconds, best of all rounds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and answers on standard output"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use async_trait::async_trait;
use clap::Parser;
use control::{
    builder::{
        Builder as _, LogLine, LogSink,
        buildah::{BuildahRunner, BuildahSettings},
        layer::Packing,
        native::{NativeBuilder, NativeSettings, Rebased},
        registry::{Registry, RegistrySettings, Repository},
        runner::Runner,
    },
    domain::build::ImageRef,
};
use images::{
    compose::{CompileContext, compile},
    plan::{BuildPlan, Fragment, Work},
    template::{Resources, parse},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TEMPLATES: usize = 100;

#[derive(Parser)]
struct Args {
    /// Host and port, without TLS.
    registry: String,
    base: String,
    folder: PathBuf,
    /// The agent's binary; any file of its size will do.
    agent: PathBuf,
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Of a layer that is made and pushed, to see how much memory that takes.
    #[arg(long, default_value_t = 2048)]
    large_mib: usize,
}

struct Unsaid;

#[async_trait]
impl LogSink for Unsaid {
    async fn line(&self, _line: LogLine) {}
}

/// A builder whose agent has these bytes more than the binary.
async fn builder(args: &Args, agent: &str) -> NativeBuilder {
    let binary = args.folder.join(format!("agent-{agent}"));
    let mut bytes = fs::read(&args.agent).unwrap();
    bytes.extend(agent.as_bytes());
    fs::write(&binary, bytes).unwrap();
    let target = Repository { registry: args.registry.clone(), name: "bench".into() };
    let runner = BuildahRunner::open(BuildahSettings {
        folder: args.folder.join("buildah"),
        target: target.clone(),
        storage_driver: "overlay".into(),
        plain_http: [args.registry.clone()].into(),
        docker_config: None,
        ca_bundle: None,
        build_env: BTreeMap::new(),
    });
    let settings = NativeSettings {
        target,
        agent: Some(binary),
        packing: Packing::Zstd,
        folder: args.folder.join("images"),
        build_env: BTreeMap::new(),
    };
    let registry = RegistrySettings {
        plain_http: [args.registry.clone()].into(),
        ..RegistrySettings::default()
    };
    let runner: Arc<dyn Runner> = Arc::new(runner.await.unwrap());
    NativeBuilder::open(settings, Registry::open(registry).unwrap(), Some(runner)).unwrap()
}

/// Environments that a script fills, and an entrypoint with a script that says `line`.
fn plan(base: &str, environments: &[(&str, &str)], line: &str) -> BuildPlan {
    let mut blocks: Vec<Value> =
        environments.iter().map(|(name, _)| json!({"type": "code_env", "name": name})).collect();
    blocks.push(json!({"type": "entrypoint", "command": "$ATELIER_PREFIX/scripts/serve.sh", "scripts": ["serve.sh"]}));
    let template = parse(&json!({"label": "Bench", "blocks": blocks})).unwrap();
    let script = format!("#!/bin/sh\necho {line}\n");
    let resources: Resources = [("serve.sh".to_owned(), script.into_bytes().into())].into();
    let platform = format!("linux/{}", std::env::consts::ARCH);
    let context = CompileContext { base: base.to_owned(), platform, build_env: BTreeMap::new() };
    let mut plan = compile(&template, &resources, &context).unwrap().plan;
    for (name, script) in environments {
        for node in plan.nodes.iter_mut().filter(|it| it.name == format!("code_env-{name}")) {
            if let Work::Run(run) = &mut node.work
                && let Fragment::Script { text, .. } = &mut run.fragment
            {
                (*script).clone_into(text);
            }
        }
    }
    plan
}

async fn build(builder: &NativeBuilder, plan: &BuildPlan) -> (ImageRef, f64) {
    let start = Instant::now();
    let built = builder.build(plan, false, &Unsaid, CancellationToken::new()).await.unwrap();
    (built, start.elapsed().as_secs_f64() * 1000.0)
}

fn best(times: impl IntoIterator<Item = f64>) -> f64 {
    times.into_iter().fold(f64::INFINITY, f64::min)
}

/// Most memory that this process ever had, in MiB.
fn peak_mib() -> f64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let before = builder(&args, "before").await;
    let plain = |line: &str| plan(&args.base, &[], line);
    build(&before, &plain("warm")).await;

    let (mut changed, mut same) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let plan = plain(&format!("round {round}"));
        changed.push(build(&before, &plan).await.1);
        same.push(build(&before, &plan).await.1);
    }

    let fill = |name| format!("head -c 8000000 /dev/urandom >$PREFIX/{name}");
    let (a, b) = (fill("a"), fill("b"));
    build(&before, &plan(&args.base, &[("a", &a)], "x")).await;
    build(&before, &plan(&args.base, &[("b", &b)], "y")).await;
    let mut composed = Vec::new();
    for round in 0..args.rounds {
        let plan = plan(&args.base, &[("b", &b), ("a", &a)], &format!("new {round}"));
        composed.push(build(&before, &plan).await.1);
    }

    let mut images = Vec::new();
    for template in 0..TEMPLATES {
        images.push(build(&before, &plain(&format!("template {template}"))).await.0);
    }
    let after = builder(&args, "after").await;
    let start = Instant::now();
    for image in &images {
        let moved = after.rebase(image, None, &Unsaid).await.unwrap();
        assert!(matches!(moved, Rebased::New(_)), "{moved:?}");
    }
    let rolled_out = start.elapsed().as_secs_f64() * 1000.0;

    let usual = peak_mib();
    let large = format!("head -c {} /dev/urandom >$PREFIX/large", args.large_mib << 20);
    let (_, large) = build(&before, &plan(&args.base, &[("large", &large)], "large")).await;
    let answer = json!({
        "one_line_changed_ms": best(changed),
        "nothing_changed_ms": best(same),
        "new_template_of_known_blocks_ms": best(composed),
        "agent_on_100_templates_ms": rolled_out,
        "large_layer_mib": args.large_mib,
        "large_layer_ms": large,
        "peak_mib_before_large": usual,
        "peak_mib": peak_mib(),
    });
    println!("{answer}");
}
