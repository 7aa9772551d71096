use serde_json::json;

use super::*;

fn pod(uid: &str, container: &serde_json::Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": format!("studio-{uid}"), "namespace": "n", "uid": uid, "labels": {EPOCH: "2"}},
        "spec": {"nodeName": "node-1", "containers": [
            {"name": CONTAINER, "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9", "containerStatuses": [container]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn status(state: &serde_json::Value, last: &serde_json::Value) -> serde_json::Value {
    json!({"name": CONTAINER, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
           "state": state, "lastState": last})
}

fn running() -> serde_json::Value {
    status(&json!({"running": {}}), &json!({}))
}

fn deployment(placement: &Placement, epoch: u64, now: u64) -> Deployment {
    let placed = Placed { epoch, placement: placement.clone() };
    let kept = serde_json::to_string(&placed).unwrap();
    serde_json::from_value(
        json!({"metadata": {"annotations": {EPOCH: now.to_string(), PLACEMENT: kept}}}),
    )
    .unwrap()
}

fn ended(state: PodState) -> String {
    match state {
        PodState::Ended { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_running_container_is_a_running_studio_and_its_address_is_told_only_where_it_may_be_used() {
    let PodState::Running(tunnelled) = of_studio(None, &[pod("a", &running())], false) else {
        panic!("it runs");
    };
    assert_eq!((tunnelled.address, tunnelled.node_name.as_str()), (None, "node-1"));
    let PodState::Running(direct) = of_studio(None, &[pod("a", &running())], true) else {
        panic!("it runs");
    };
    assert_eq!(direct.address, Some("10.0.0.9".parse().unwrap()));
}

#[test]
fn what_waits_is_absent_still() {
    let waits = status(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({}));
    assert_eq!(of_studio(None, &[pod("a", &waits)], false), PodState::Absent);
    assert_eq!(of_studio(None, &[], false), PodState::Absent);
}

#[test]
fn a_container_that_was_started_again_is_not_the_studio() {
    let again = status(
        &json!({"running": {}}),
        &json!({"terminated": {"exitCode": 137, "reason": "Error", "message": "last line\n"}}),
    );
    let reason = ended(of_studio(None, &[pod("a", &again)], false));
    assert_eq!(reason, "signal 9; its last words: last line");
}

#[test]
fn out_of_memory_names_the_limit() {
    let killed =
        status(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), &json!({}));
    let reason = ended(of_studio(None, &[pod("a", &killed)], false));
    assert_eq!(reason, "it was killed, out of memory: its limit is 64Mi");
}

#[test]
fn a_pod_that_took_the_place_of_the_studio_s_is_not_the_studio() {
    let PodState::Running(placement) = of_studio(None, &[pod("a", &running())], false) else {
        panic!("it runs");
    };
    let kept = deployment(&placement, 2, 2);
    let both = [pod("b", &running()), pod("a", &running())];
    assert_eq!(of_studio(Some(&kept), &both, false), PodState::Running(placement.clone()));
    let reason = ended(of_studio(Some(&kept), &[pod("b", &running())], false));
    assert!(reason.contains("evicted"), "{reason}");
    // What was kept of an older incarnation says nothing of this one.
    let older = deployment(&placement, 1, 2);
    assert!(matches!(
        of_studio(Some(&older), &[pod("b", &running())], false),
        PodState::Running(_)
    ));
}
