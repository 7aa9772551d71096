use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt as _;
use images::plan::{BuildPlan, Fragment, Work};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{BuildahRunner, BuildahSettings};
use crate::{
    builder::{
        BuildError, Builder as _,
        native::{
            NativeBuilder, Rebased,
            rig::{Lines, Rig, push_base},
        },
        registry::{Descriptor, Image, Manifest},
    },
    domain::build::ImageRef,
};

async fn builder(rig: &Rig, agent: &str) -> NativeBuilder {
    let mut settings = BuildahSettings::of_test(rig);
    let index = "https://user:hunter2@index.example".to_owned();
    settings.build_env = BTreeMap::from([("PIP_INDEX_URL".to_owned(), index)]);
    let runner = BuildahRunner::open(settings).await.unwrap();
    rig.builder(agent, Some(Arc::new(runner)))
}

async fn build(
    builder: &NativeBuilder,
    plan: &BuildPlan,
) -> (Result<ImageRef, BuildError>, String) {
    let log = Lines::default();
    let built = builder.build(plan, false, &log, CancellationToken::new()).await;
    (built, log.text().await)
}

/// A plan whose environment `name` is installed by this script.
fn with_script(mut plan: BuildPlan, name: &str, script: &str) -> BuildPlan {
    for node in plan.nodes.iter_mut().filter(|node| node.name == format!("code_env-{name}")) {
        if let Work::Run(run) = &mut node.work
            && let Fragment::Script { text, .. } = &mut run.fragment
        {
            script.clone_into(text);
        }
    }
    plan.digest = blake3::hash(format!("{} {script}", plan.digest).as_bytes()).to_hex().to_string();
    plan
}

/// Files of an image's layers, by path, from below to above.
async fn files(rig: &Rig, image: &ImageRef) -> (Manifest, Vec<BTreeMap<String, (u32, String)>>) {
    let name: Image = image.reference.parse().unwrap();
    let registry = rig.registry();
    let fetched = registry.manifest(&name).await.unwrap();
    let manifest: Manifest = fetched.read(&name.repository).unwrap();
    let mut all = Vec::new();
    for layer in &manifest.layers {
        let mut parts = Box::pin(registry.blob(&name.repository, layer).await.unwrap());
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        all.push(listed(layer, &bytes));
    }
    (manifest, all)
}

fn listed(layer: &Descriptor, bytes: &[u8]) -> BTreeMap<String, (u32, String)> {
    let unpacked: Box<dyn std::io::Read> = if layer.media_type.ends_with("zstd") {
        Box::new(zstd::Decoder::new(bytes).unwrap())
    } else {
        Box::new(flate2::read::GzDecoder::new(bytes))
    };
    let mut archive = tar::Archive::new(unpacked);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut text).unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let text = String::from_utf8_lossy(text.get(..200).unwrap_or(&text)).into_owned();
        let path = entry.path().unwrap().display().to_string();
        found.insert(path, (entry.header().mode().unwrap(), text));
    }
    found
}

fn env(name: &str) -> Value {
    json!({"type": "code_env", "name": name})
}

const SCRIPT: &str = "cat /etc/motd >\"$PREFIX/motd\"; echo from $PIP_INDEX_URL; echo thrown-away >/etc/leak; \
    mkdir \"$PREFIX/bin\"; echo \"$PREFIX $SOURCE_DATE_EPOCH $(id -u)\" >\"$PREFIX/bin/tool\"; echo x >/opt/studio/leak; \
    touch \"$PREFIX/private\"; [ ! -e /opt/studio/code_env-b ]";

#[tokio::test]
async fn a_script_runs_on_the_base_and_its_folder_alone_becomes_a_layer() {
    let rig = Rig::open().await;
    let builder = builder(&rig, "one").await;
    let plan = with_script(rig.plan(json!([env("a")]), &[]), "a", SCRIPT);
    let (image, said) = build(&builder, &plan).await;
    let image = image.unwrap_or_else(|error| panic!("{error:?}: {said}"));
    assert!(image.builder == "buildah", "{image:?}");
    assert!(said.contains("from https://***@index.example") && !said.contains("hunter2"), "{said}");
    let (_, layers) = files(&rig, &image).await;
    let own = &layers[1];
    assert_eq!(own["opt/studio/code_env-a/motd"], (0o664, "of Debian".to_owned()));
    let told = "/opt/studio/code_env-a 315532800 0\n".to_owned();
    assert_eq!(own["opt/studio/code_env-a/bin/tool"], (0o664, told));
    let elsewhere: Vec<_> =
        layers[1..].iter().flatten().filter(|(path, _)| path.contains("leak")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");

    // In another template, after another block: not run again, and the same layer.
    let both = json!([env("b"), env("a")]);
    let both = with_script(with_script(rig.plan(both, &[]), "a", SCRIPT), "b", "echo b >$PREFIX/b");
    let (second, said) = build(&builder, &both).await;
    assert!(
        said.contains("code_env-a: built before") && said.contains("code_env-b: running"),
        "{said}"
    );
    let (first, _) = files(&rig, &image).await;
    let (second, _) = files(&rig, &second.unwrap()).await;
    assert!(second.layers.contains(&first.layers[1]));
}

#[tokio::test]
async fn statements_of_a_dockerfile_see_all_that_is_below_them() {
    let rig = Rig::open().await;
    let builder = builder(&rig, "one").await;
    let statements = "ENV FROM_FILE=yes\nRUN [ -n \"$PIP_INDEX_URL\" ]\nCOPY data.txt /srv/data.txt\nRUN cat /opt/studio/code_env-a/a /srv/data.txt >/srv/both";
    let blocks = |statements: &str| json!([env("a"), {"type": "dockerfile", "statements": statements, "as_root": true, "resources": ["data.txt"]}, env("b")]);
    let plan = |text: &str, statements: &str| {
        let plan = rig.plan(blocks(statements), &[("data.txt", "data\n")]);
        let plan = with_script(plan, "a", &format!("echo {text} >$PREFIX/a"));
        with_script(plan, "b", "[ ! -e /srv ] && echo b >$PREFIX/b")
    };
    let (image, said) = build(&builder, &plan("one", statements)).await;
    let image = image.unwrap_or_else(|error| panic!("{error:?}: {said}"));
    let (manifest, layers) = files(&rig, &image).await;
    let both: Vec<_> = layers.iter().filter_map(|layer| layer.get("srv/both")).collect();
    assert_eq!(both.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["one\ndata\n"]);
    let at = image.reference.parse::<Image>().unwrap().repository;
    let config = rig.registry().small_blob(&at, &manifest.config).await.unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let env = config["config"]["Env"].to_string();
    assert!(env.contains("FROM_FILE=yes") && !env.contains("hunter2"), "{env}");
    assert!(
        config["config"]["User"] == "1000:0" && !config.to_string().contains("hunter2"),
        "{config}"
    );

    // What is below changes: run again. What is above does not: not run.
    let (changed, said) = build(&builder, &plan("two", statements)).await;
    assert!(
        said.contains("dockerfile: running") && said.contains("code_env-b: built before"),
        "{said}"
    );
    let (_, layers) = files(&rig, &changed.unwrap()).await;
    assert!(
        layers
            .iter()
            .any(|layer| layer.get("srv/both").is_some_and(|(_, text)| text == "two\ndata\n"))
    );

    // It saw the old base, and has to see the new one; a new agent is nothing to it.
    let patched = push_base(&rig.served, "patched").await;
    let log = Lines::default();
    let moved = builder.rebase(&image, Some(&patched), &log).await.unwrap();
    assert_eq!(moved, Rebased::HasToBeBuilt);
    let newer = super::tests::builder(&rig, "two").await;
    let rebased = newer.rebase(&image, None, &log).await.unwrap();
    assert!(matches!(rebased, Rebased::New(_)), "{rebased:?}");

    // Images that were made on the way go when nothing needs what they were made for.
    let tag = format!("node-{}", plan("one", statements).nodes[2].key.0);
    let helper = Image::by_tag(&at, &tag);
    assert!(rig.registry().manifest_digest(&helper).await.unwrap().is_some());
    builder.collect_garbage(&[]).await.unwrap();
    assert_eq!(rig.registry().manifest_digest(&helper).await.unwrap(), None);

    // A statement that fails is named.
    let (failed, said) = build(&builder, &plan("one", "RUN echo no such thing >&2; exit 3")).await;
    assert!(
        matches!(&failed, Err(BuildError::Failed { block: 1, node, .. }) if node == "dockerfile"),
        "{failed:?}"
    );
    assert!(said.contains("no such thing"), "{said}");
}
