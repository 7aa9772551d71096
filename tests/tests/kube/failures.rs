//! A start that fails says why, in the cluster's own words, and leaves nothing.

use serde_json::{Value, json};

use crate::{
    cluster::setting,
    instance::{Instance, blocks},
};

/// Starts in vain; nothing may be left of it.
async fn why(instance: &Instance, expected: &[&str]) {
    let said = instance.failed_start().await;
    for words in expected {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    instance.until_gone().await;
}

#[tokio::test]
async fn an_image_that_is_not_there() {
    let image = setting("ATELIER_TEST_IMAGE").replace("/studio@", "/nothing@");
    let instance = Instance::of_image(&image, blocks(), json!({})).await;
    why(&instance, &["the image can't be pulled", "not found"]).await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_has_its_time() {
    let instance =
        Instance::of_image("127.0.0.1:9/studio:1", blocks(), json!({"pull_limit_s": 5})).await;
    why(&instance, &["does not begin to run", "connection refused", "waited 5 s"]).await;
}

#[tokio::test]
async fn a_pod_that_no_node_can_take() {
    let settings = json!({"requests": {"cpu": "500"}, "schedule_limit_s": 3});
    let instance = Instance::with(blocks(), settings).await;
    why(&instance, &["no node takes the pod", "Insufficient cpu"]).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up() {
    let instance = Instance::new().await;
    instance.namespace.kubectl(&["create", "quota", "small", "--hard=pods=0"]);
    why(&instance, &["quota does not allow the pod", "exceeded quota: small"]).await;
}

#[tokio::test]
async fn a_pod_that_the_namespace_s_rules_forbid() {
    // Root is not *restricted*, and the agent's image would run as it.
    let instance = Instance::with(blocks(), json!({"user": 0})).await;
    why(&instance, &["the cluster refuses the pod", "PodSecurity"]).await;
}

#[tokio::test]
async fn an_image_without_the_agent_ends_at_once() {
    let blocks: Value = blocks();
    let image = setting("ATELIER_TEST_IMAGE_WITHOUT_AGENT");
    let instance = Instance::of_image(&image, blocks, json!({})).await;
    why(&instance, &["the agent ended at once", "I am no agent"]).await;
}

#[tokio::test]
async fn a_command_that_is_out_of_memory_ends_alone() {
    let settings = json!({"limits": {"memory": "64Mi"}});
    let instance = Instance::with(blocks(), settings).await;
    instance.bring("start").await;
    let (_, code) = instance.exec("head -c 200000000 /dev/zero | tail -c 200000000 | wc -c").await;
    assert_eq!(code, 0, "the shell has lived on");
    let studio = instance.get(&instance.at("")).await;
    assert_eq!(studio["state"], "RUNNING", "{studio}");
    instance.until_served(8000, "/index.html").await;
    instance.bring("stop").await;
    instance.until_gone().await;
}
