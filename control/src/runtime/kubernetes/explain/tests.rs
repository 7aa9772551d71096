use serde_json::{Value, json};

use super::*;

fn pod(conditions: &Value, state: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "studio"}]},
        "status": {"conditions": conditions, "containerStatuses": [
            {"name": "studio", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
    }))
    .unwrap()
}

fn waiting(reason: &str, message: &str) -> Standing {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    standing(None, Some(&pod(&json!([]), &state)))
}

#[test]
fn an_image_that_is_not_there_fails_at_once_and_a_registry_that_is_away_has_time() {
    let gone = "rpc error: code = NotFound desc = failed to pull and unpack image: not found";
    let Standing::Failed { what, why, .. } = waiting("ErrImagePull", gone) else {
        panic!("no waiting makes it appear");
    };
    assert_eq!(what, "the image can't be pulled");
    assert!(why.contains("not found"), "{why}");
    let away = "dial tcp 10.0.0.1:5000: connect: connection refused";
    assert!(matches!(
        waiting("ImagePullBackOff", away),
        Standing::Hangs { stage: Stage::Container, .. }
    ));
}

#[test]
fn a_user_that_the_cluster_forbids_fails_at_once() {
    let why = "container has runAsNonRoot and image will run as root";
    let Standing::Failed { what, .. } = waiting("CreateContainerConfigError", why) else {
        panic!("no waiting mends it");
    };
    assert_eq!(what, "the container can't be made");
}

#[test]
fn a_node_that_is_slow_to_know_a_secret_has_time() {
    let why = "failed to sync secret cache: timed out waiting for the condition";
    let standing = waiting("CreateContainerConfigError", why);
    assert!(matches!(standing, Standing::Hangs { stage: Stage::Container, .. }), "{standing:?}");
}

#[test]
fn no_node_hangs_with_the_scheduler_s_words() {
    let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                             "message": "0/1 nodes are available: 1 Insufficient cpu."}]);
    let Standing::Hangs { stage: Stage::Node, why, .. } =
        standing(None, Some(&pod(&conditions, &json!({}))))
    else {
        panic!("it waits for a node");
    };
    assert!(why.contains("Insufficient cpu"));
}

#[test]
fn a_quota_is_told_apart_from_other_refusals() {
    let refused = |message: &str| -> Deployment {
        serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": message}]}}))
        .unwrap()
    };
    let quota = refused("pods \"x\" is forbidden: exceeded quota: small, requested: memory=2Gi");
    let policy = refused("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"");
    let what = |deployment: &Deployment| match standing(Some(deployment), None) {
        Standing::Failed { what, .. } => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(&quota), "the namespace's quota does not allow the pod");
    assert_eq!(what(&policy), "the cluster refuses the pod");
    assert_eq!(standing(None, None), Standing::Goes(Stage::Node));
}

#[test]
fn the_last_warning_is_the_complaint() {
    let event = |kind: &str, at: &str, message: &str| -> Event {
        serde_json::from_value(
            json!({"metadata": {}, "involvedObject": {}, "type": kind, "reason": "FailedMount",
                                      "lastTimestamp": at, "message": message}),
        )
        .unwrap()
    };
    let events = [
        event("Warning", "2026-01-01T00:00:02Z", "second"),
        event("Warning", "2026-01-01T00:00:01Z", "first"),
        event("Normal", "2026-01-01T00:00:03Z", "fine"),
    ];
    assert_eq!(last_complaint(&events).as_deref(), Some("FailedMount: second"));
    assert_eq!(last_complaint(&[]), None);
}
