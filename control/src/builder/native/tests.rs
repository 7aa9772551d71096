use std::process::Stdio;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    NativeBuilder, Rebased,
    rig::{Lines, Rig, plan_on, push_base},
};
use crate::{
    builder::{
        BuildError, Builder as _,
        registry::{Fetched, Image, Manifest, Registry, RegistrySettings, served::Served},
    },
    domain::build::ImageRef,
    spawn,
};

fn blocks() -> Value {
    json!([{"type": "entrypoint", "command": "$ATELIER_PREFIX/scripts/serve.sh", "scripts": ["serve.sh"], "port": 9000}])
}

async fn build(
    builder: &NativeBuilder,
    plan: &images::plan::BuildPlan,
) -> (Result<ImageRef, BuildError>, String) {
    let log = Lines::default();
    let built = builder.build(plan, false, &log, CancellationToken::new()).await;
    (built, log.text().await)
}

async fn manifest(registry: &Registry, image: &ImageRef) -> (Manifest, Fetched) {
    let name: Image = image.reference.parse().unwrap();
    let fetched = registry.manifest(&name).await.unwrap();
    (fetched.read(&name.repository).unwrap(), fetched)
}

/// Another implementation of the same formats: what it says to a command line.
async fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = spawn::command("skopeo")
        .args(arguments)
        .env("HOME", "/nonexistent")
        .stderr(Stdio::piped())
        .output()
        .await
        .expect("skopeo is installed: `make setup` does that");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    output.stdout
}

#[tokio::test]
async fn files_become_an_image_that_others_can_read() {
    let rig = Rig::open().await;
    let builder = rig.builder("one", None);
    let plan = rig.plan(blocks(), &[("serve.sh", "#!/bin/sh\nexec sleep 9\n")]);
    let (image, said) = build(&builder, &plan).await;
    let image = image.unwrap();
    assert!(image.builder == "native" && image.digest == plan.digest, "{image:?}");
    assert!(said.contains(": 1 files") && said.contains(&image.reference), "{said}");

    // Skopeo fetches everything, and checks every digest of it.
    let folder = rig.folder.path().join("copy");
    let to = format!("oci:{}:x", folder.display());
    let from = format!("docker://{}", image.reference);
    skopeo(&["--insecure-policy", "copy", "--src-tls-verify=false", &from, &to]).await;
    let config = skopeo(&["inspect", "--config", "--tls-verify=false", &from]).await;
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["config"]["Entrypoint"], json!(["/opt/atelier/agent"]));
    assert_eq!(config["config"]["User"], "1000:0");
    assert_eq!(config["config"]["ExposedPorts"], json!({"9000/tcp": {}}));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);

    // Nothing changed: one question. Something lost: made good.
    let (again, said) = build(&builder, &plan).await;
    assert!(again.unwrap() == image && said.contains("built before"), "{said}");
    let (registry, name) = (rig.registry(), image.reference.parse::<Image>().unwrap());
    registry.delete_manifest(&name.repository, &name.digest().unwrap()).await.unwrap();
    assert!(!builder.exists(&image).await.unwrap());
    assert_eq!(build(&builder, &plan).await.0.unwrap(), image);
    assert!(builder.exists(&image).await.unwrap());
}

#[tokio::test]
async fn the_same_plan_is_the_same_image_on_two_machines_and_from_another_registry() {
    let (one, two) = (Rig::open().await, Rig::open().await);
    let resources = [("serve.sh", "#!/bin/sh\n")];
    let first = build(&one.builder("a", None), &one.plan(blocks(), &resources)).await.0.unwrap();
    // The second takes its base out of the first one's registry: nothing can be mounted from there.
    let settings = RegistrySettings {
        plain_http: [one.served.host.clone(), two.served.host.clone()].into(),
        ..RegistrySettings::default()
    };
    let registry = Registry::open(settings).unwrap();
    let builder = NativeBuilder::open(two.settings("a"), registry, None).unwrap();
    let second = build(&builder, &plan_on(&one.base, blocks(), &resources)).await.0.unwrap();
    let digest = |image: &ImageRef| image.reference.parse::<Image>().unwrap().digest().unwrap();
    assert_eq!(digest(&first), digest(&second));
    assert_ne!(first.reference, second.reference);
}

#[tokio::test]
async fn a_new_agent_or_base_is_a_new_manifest_and_one_layer() {
    let rig = Rig::open().await;
    let plan = rig.plan(blocks(), &[("serve.sh", "#!/bin/sh\n")]);
    let old = build(&rig.builder("one", None), &plan).await.0.unwrap();
    let builder = rig.builder("two", None);
    let log = Lines::default();
    let rebase = async |image: &ImageRef, base: Option<&str>| {
        builder.rebase(image, base, &log).await.unwrap()
    };
    let Rebased::New(new) = rebase(&old, None).await else { panic!("the agent is another one") };
    let registry = rig.registry();
    let layers = |manifest: &Manifest| {
        manifest.layers.iter().map(|it| it.digest.clone()).collect::<Vec<_>>()
    };
    let (before, after) =
        (layers(&manifest(&registry, &old).await.0), layers(&manifest(&registry, &new).await.0));
    assert_eq!(before.len(), after.len());
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
    assert_eq!(rebase(&new, None).await, Rebased::Same);
    // It is what a build with the new agent makes, which therefore makes nothing new.
    assert_eq!(build(&builder, &plan).await.0.unwrap(), new);

    let patched = push_base(&rig.served, "patched").await;
    let Rebased::New(moved) = rebase(&new, Some(&patched)).await else {
        panic!("the base is another one")
    };
    let (document, _) = manifest(&registry, &moved).await;
    assert_ne!(layers(&document)[0], after[0]);
    assert_eq!(layers(&document)[1..], after[1..]);
    assert!(document.annotations.values().any(|it| patched.ends_with(it.as_str())), "{document:?}");
    assert!(builder.exists(&old).await.unwrap());

    // Images that nothing uses go; those that are in use keep all that they need.
    builder.collect_garbage(std::slice::from_ref(&moved)).await.unwrap();
    assert!(builder.exists(&moved).await.unwrap());
    assert!(!builder.exists(&old).await.unwrap() && !builder.exists(&new).await.unwrap());
    assert_eq!(rebase(&moved, None).await, Rebased::Same);
    assert!(builder.rebase(&old, None, &log).await.is_err());
}

#[tokio::test]
async fn what_can_t_be_had_is_named() {
    let rig = Rig::open().await;
    let builder = rig.builder("one", None);
    let resources = [("serve.sh", "#!/bin/sh\n")];
    let missing = format!("{}/nowhere@sha256:{}", rig.served.host, "0".repeat(64));
    let (built, _) = build(&builder, &plan_on(&missing, blocks(), &resources)).await;
    let error = built.unwrap_err();
    assert!(matches!(error, BuildError::Environment { .. }), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("nowhere"), "{source}");

    let away = Served::open().await;
    let gone = push_base(&away, "gone").await;
    drop(away);
    let settings = RegistrySettings {
        plain_http: [rig.served.host.clone(), gone.split('/').next().unwrap().to_owned()].into(),
        ..RegistrySettings::default()
    };
    let registry = Registry::open(settings).unwrap();
    let builder = NativeBuilder::open(rig.settings("one"), registry, None).unwrap();
    let (built, _) = build(&builder, &plan_on(&gone, blocks(), &resources)).await;
    assert!(matches!(built, Err(BuildError::Environment { .. })), "{built:?}");

    // Nothing can be run by this builder alone.
    let plan = rig.plan(json!([{"type": "code_env", "name": "a"}]), &[]);
    let (built, said) = build(&builder, &plan).await;
    assert!(matches!(built, Err(BuildError::Unsupported { block: 0, .. })), "{built:?}");
    assert!(said.is_empty(), "{said}");
}
