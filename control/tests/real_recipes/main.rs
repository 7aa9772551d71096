//! The blocks' recipes for real: installed from the package registries by the `prefix` builder, started by the launch
//! specification's own command lines, and asked over HTTP. Takes minutes the first time; what was installed is kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod apps;
mod jupyterlab;
mod rig;
mod vscode;
mod web;

use std::{fs, sync::Arc};

use control::builder::{Builder as _, prefix::PrefixBuilder};
use images::{
    compose::{CompileContext, compile},
    launch::{Entrypoint, LaunchSpec},
    template::{Resources, parse},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::rig::{Lines, Studio, build_env, kept};

fn entrypoint<'a>(launch: &'a LaunchSpec, id: &str) -> &'a Entrypoint {
    launch.entrypoints.iter().find(|entrypoint| entrypoint.id == id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_install_from_the_registries_and_their_servers_answer() {
    let spec = parse(&json!({"label": "Real", "blocks": [
        {"type": "code_env", "name": "science", "packages": ["six==1.17.0"]},
        {"type": "jupyterlab"},
        {"type": "streamlit"},
        {"type": "gradio"},
        {"type": "voila"},
        {"type": "rstudio", "package": "stand-in.deb"},
        {"type": "nginx", "folders": [{"zone": "code_studio-resources", "folder": "public", "path": "/files/"}],
         "upstreams": [{"port": 8787, "path": "/r/"}]},
        {"type": "vscode", "extensions": ["hello.vsix"], "settings": {"editor.fontSize": 17}},
    ]}))
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let resources: Resources = [
        ("hello.vsix".to_owned(), Arc::from(vscode::extension())),
        ("stand-in.deb".to_owned(), Arc::from(web::package(folder.path()).await)),
    ]
    .into();
    // As an instance says it, so that what is kept is what an instance needs too.
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let context = CompileContext { base: "machine".into(), platform, build_env: [].into() };
    let compiled = compile(&spec, &resources, &context).unwrap();
    let (store, _only_one) = kept();
    let builder = PrefixBuilder::open(&store, build_env()).unwrap();
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
    builder.collect_garbage(std::slice::from_ref(&image)).await.unwrap();

    let launch = &compiled.launch;
    let studio = Studio::new(&prefix, folder.path(), &launch.path);
    studio.put_starter_files(&launch.starter_files);
    let client = control::http_client::builder().no_proxy().build().unwrap();
    jupyterlab::runs_a_kernel_of_a_code_env(&studio, &client, launch).await;
    apps::streamlit_answers(&studio, &client, launch).await;
    apps::gradio_computes(&studio, &client, launch).await;
    apps::voila_runs_the_notebook(&studio, &client, launch).await;
    web::nginx_serves_folders_and_no_link_out_of_them(&studio, &client, launch).await;
    vscode::opens_for_the_cookie_of_the_studio_alone(&studio, &client, launch).await;
}
