//! What a user does, once through, on the cluster.

use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::{Instance, blocks};

#[tokio::test]
async fn a_studio_is_started_used_synchronised_stopped_and_started_again() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    assert_eq!(instance.get(&instance.at("")).await["state"], "RUNNING");
    assert_eq!(instance.until_served(8000, "/index.html").await, "served\n");
    assert_eq!(instance.exec("cat code_studio-versioned/start.txt").await.0, "begin\n");
    assert_eq!(instance.exec("exit 3").await.1, 3);

    instance.write("mine.txt", "from the studio").await;
    instance.put_zone_text("theirs.txt", "from the server").await;
    instance.synchronise(json!({})).await;
    assert_eq!(instance.zone_text("mine.txt").await.unwrap(), "from the studio");
    assert_eq!(instance.exec("cat code_studio-versioned/theirs.txt").await.0, "from the server");

    instance.write("late.txt", "not synchronised").await;
    let stopped = instance.bring("stop").await;
    assert_eq!(stopped["result"]["message"], "all files are back");
    assert_eq!(instance.zone_text("late.txt").await.unwrap(), "not synchronised");
    instance.until_gone().await;

    instance.bring("start").await;
    assert_eq!(instance.exec("cat code_studio-versioned/late.txt").await.0, "not synchronised");
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn the_pod_is_what_was_agreed() {
    let instance = Instance::with(
        blocks(),
        json!({
            "limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"memory": "32Mi", "cpu": "10m"},
            "node_selector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "studios", "operator": "Exists"}],
        }),
    )
    .await;
    instance.bring("start").await;
    // Pod Security `restricted` has let it in; this is what it says of itself.
    let pod = &instance.namespace.ours("pods")[0];
    let (spec, labels) = (&pod["spec"], &pod["metadata"]["labels"]);
    assert_eq!(labels["atelier.dev/studio"], instance.studio.as_str());
    assert_eq!(
        (&labels["atelier.dev/project"], &labels["atelier.dev/owner"]),
        (&json!("DEMO"), &json!("admin"))
    );
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["nodeSelector"]["kubernetes.io/os"], "linux");
    assert!(
        spec["tolerations"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "studios", "operator": "Exists"}))
    );
    assert_eq!(spec["containers"][0]["resources"]["limits"]["memory"], "128Mi");
    assert_eq!(instance.namespace.ours("networkpolicies")[0]["spec"].get("ingress"), None);
    assert_eq!(instance.exec("id -u").await.0, "1000\n");
    assert_eq!(instance.exec("cat /proc/1/comm").await.0, "atelier-agent\n");

    // The variables that start scripts know, from the downward API.
    let name = pod["metadata"]["name"].as_str().unwrap();
    let seen = instance
        .exec("echo $K8S_POD_NAME $K8S_POD_NAMESPACE $K8S_NODE_NAME $K8S_POD_ID $ATELIER_POD_NAME")
        .await
        .0;
    let node = spec["nodeName"].as_str().unwrap();
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    assert_eq!(seen, format!("{name} {} {node} {uid} {name}\n", instance.namespace.name));
    // What opens the way to the control plane is the agent's alone.
    assert_eq!(instance.exec("env | grep -c ATELIER_TOKEN=").await.0, "0\n");
    instance.bring("stop").await;
}

#[tokio::test]
async fn an_action_and_its_exit_code_come_through() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let path = instance.at("/actions/count/runs");
    let run = instance.call(Method::POST, &path, Some(json!({"inputs": {"UPTO": "5"}}))).await;
    let session = instance.at(&format!("/sessions/{}", run["id"].as_str().unwrap()));
    let ended = instance.until(&session, |session| session["exit"].is_object()).await;
    assert_eq!(ended["exit"]["code"], 7);
    instance.bring("stop").await;
}

#[tokio::test]
async fn a_pod_that_is_reached_directly_serves_the_same() {
    let from = format!("{}/32", crate::cluster::setting("ATELIER_TEST_ADDRESS"));
    let instance = Instance::with(blocks(), json!({"direct_from": from})).await;
    instance.bring("start").await;
    assert_eq!(instance.until_served(8000, "/index.html").await, "served\n");
    let policy: Value = instance.namespace.ours("networkpolicies")[0].clone();
    assert_eq!(policy["spec"]["ingress"][0]["from"][0]["ipBlock"]["cidr"], from.as_str());
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn a_template_s_and_a_cluster_s_words_about_the_pod_are_laid_over_it() {
    let mut with_words = blocks();
    with_words.as_array_mut().unwrap().push(json!({"type": "kubernetes", "pod": {
        "metadata": {"annotations": {"example.org/team": "a"}},
        "spec": {"containers": [{"name": "studio", "env": [{"name": "EXTRA", "value": "of the template"}]}]}}}));
    let of_cluster = json!({"pod": {"spec": {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["data.example.org"]}]}}});
    let instance = Instance::with(with_words, of_cluster).await;
    instance.bring("start").await;
    assert_eq!(instance.exec("echo $EXTRA").await.0, "of the template\n");
    assert_eq!(instance.exec("grep -c data.example.org /etc/hosts").await.0, "1\n");
    let pod = &instance.namespace.ours("pods")[0];
    assert_eq!(pod["metadata"]["annotations"]["example.org/team"], "a");
    instance.bring("stop").await;
    instance.until_gone().await;
}
