//! Applications: the one that a studio begins with answers, under its prefix.

use std::time::Duration;

use images::launch::LaunchSpec;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    entrypoint,
    rig::{Studio, ready, stop},
};

pub(crate) async fn streamlit_answers(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let mut streamlit = studio.start(entrypoint(launch, "streamlit"));
    let base = studio.base_url(8501);
    assert_eq!(ready(client, &mut streamlit, &format!("{base}/_stcore/health")).await, 200);
    assert!(client.get(format!("{base}/")).send().await.unwrap().status().is_success());
    stop(streamlit).await;
}

pub(crate) async fn gradio_computes(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let mut gradio = studio.start(entrypoint(launch, "gradio"));
    let address = studio.address(7860);
    assert_eq!(ready(client, &mut gradio, &format!("{address}/config")).await, 200);
    // What it tells browsers is below the prefix, though it is asked without.
    let config = client.get(format!("{address}/config")).send().await.unwrap();
    let config: Value = config.json().await.unwrap();
    assert!(config["root"].as_str().unwrap().ends_with("/code-studios/DEMO/abcdefgh/7860"));
    let call = format!("{address}/gradio_api/call/square");
    let asked = client.post(&call).json(&json!({"data": [7]})).send().await.unwrap();
    let asked: Value = asked.json().await.unwrap();
    let event = asked["event_id"].as_str().unwrap();
    let answer = client.get(format!("{call}/{event}")).send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("7 squared is 49."), "{answer}");
    stop(gradio).await;
}

pub(crate) async fn voila_runs_the_notebook(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let mut voila = studio.start(entrypoint(launch, "voila"));
    let base = studio.base_url(8866);
    assert_eq!(ready(client, &mut voila, &format!("{base}/voila/static/voila.js")).await, 200);
    let page = opened(client, &format!("{base}/")).await;
    assert!(page.contains("IntSlider(value=10") && page.contains("How many?"), "{page}");
    stop(voila).await;
}

/// A page, by somebody who loads it again when nothing comes: a kernel that starts on a busy machine may miss the first question.
async fn opened(client: &reqwest::Client, url: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let asked = client.get(url).timeout(Duration::from_secs(30)).send();
        let page = async { asked.await?.error_for_status()?.text().await };
        match page.await {
            Ok(page) => return page,
            Err(error) => {
                assert!(error.is_timeout() && Instant::now() < deadline, "{url}: {error}");
            }
        }
    }
}
