//! The node's container runtime is started again below studios.

use std::process::Command;

use serde_json::json;

use crate::{cluster::setting, instance::Instance};

#[tokio::test]
async fn a_container_runtime_that_is_started_again_ends_no_studio() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let pod = instance.namespace.pod();
    instance.write("before.txt", "kept").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/cluster.py");
    let restarted = Command::new("python3")
        .args([script, "restart", &setting("ATELIER_TEST_CLUSTER"), "containerd"])
        .output()
        .unwrap();
    assert!(restarted.status.success(), "{restarted:?}");
    assert_eq!(instance.exec("cat code_studio-versioned/before.txt").await.0, "kept");
    assert_eq!(instance.until_served(8000, "/index.html").await, "served\n");
    instance.synchronise(json!({})).await;
    assert_eq!(instance.namespace.pod(), pod);
    instance.write("after.txt", "kept").await;
    instance.bring("stop").await;
    instance.until_gone().await;
    for name in ["before.txt", "after.txt"] {
        assert_eq!(instance.zone_text(name).await.as_deref(), Some("kept"), "{name}");
    }
    // The node takes pods again.
    instance.bring("start").await;
    instance.bring("stop").await;
    instance.until_gone().await;
}
