//! Volumes that exist outlive the studios that see them.

use serde_json::json;

use crate::instance::{Instance, blocks};

#[tokio::test]
async fn data_of_a_volume_is_there_for_the_next_studio_and_stays_when_it_goes() {
    let volumes = json!([{"name": "data", "claim": "shared"}]);
    let mut instance = Instance::with(blocks(), json!({"volumes": volumes})).await;
    instance.namespace.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }));
    instance.bring("start").await;
    assert_eq!(
        instance.exec("echo of the first > /data/file; cat /data/file").await.0,
        "of the first\n"
    );
    instance.bring("stop").await;
    instance.until_gone().await;
    let first = instance.studio.clone();
    instance.new_studio("second").await;
    instance.call(reqwest::Method::DELETE, &format!("/studios/{first}"), None).await;
    instance.bring("start").await;
    assert_eq!(instance.exec("cat /data/file").await.0, "of the first\n");
    instance.bring("stop").await;
    instance.until_gone().await;
    let claim =
        instance.namespace.kubectl(&["get", "pvc", "shared", "-o", "jsonpath={.status.phase}"]);
    assert_eq!(claim, "Bound");
}
