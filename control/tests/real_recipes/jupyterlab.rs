//! `JupyterLab` with a kernel of a code environment.

use images::launch::LaunchSpec;
use serde_json::{Value, json};

use super::{
    entrypoint,
    rig::{SECRET, Studio, ready, stop},
};

pub(crate) async fn runs_a_kernel_of_a_code_env(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let mut jupyter = studio.start(entrypoint(launch, "jupyterlab"));
    let base = studio.base_url(8888);
    assert_eq!(ready(client, &mut jupyter, &format!("{base}/api")).await, 200);
    assert_eq!(client.get(format!("{base}/api/kernels")).send().await.unwrap().status(), 403);
    let asked = |request: reqwest::RequestBuilder| {
        request.header("authorization", format!("token {SECRET}")).send()
    };
    let specs = asked(client.get(format!("{base}/api/kernelspecs"))).await.unwrap();
    let specs: Value = specs.json().await.unwrap();
    assert_eq!(specs["kernelspecs"]["science"]["spec"]["display_name"], "science", "{specs}");
    let kernel =
        asked(client.post(format!("{base}/api/kernels")).json(&json!({"name": "science"})));
    let kernel: Value = kernel.await.unwrap().json().await.unwrap();
    let id = kernel["id"].as_str().unwrap();
    let ended = asked(client.delete(format!("{base}/api/kernels/{id}"))).await.unwrap();
    assert_eq!(ended.status(), 204);
    stop(jupyter).await;
}
