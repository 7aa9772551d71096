//! An agent is who the cluster says it is: the pod that its token is bound to, and nobody else.

use reqwest::Method;
use serde_json::json;

use crate::{
    impostor::{Claimed, Impostor, TOKEN, Told, audience, pod_of},
    instance::{Instance, blocks},
};

#[tokio::test]
async fn a_token_opens_the_way_for_its_own_pod_alone() {
    let mut instance = Instance::new().await;
    let spec = json!({"name": "other", "template": instance.template});
    let other = instance.call(Method::POST, "/projects/DEMO/studios", Some(spec)).await;
    let other = other["id"].as_str().unwrap().to_owned();
    let first = instance.studio.clone();
    instance.bring("start").await;
    instance.studio.clone_from(&other);
    instance.bring("start").await;
    let of_other = instance.exec(TOKEN).await.0;
    instance.studio.clone_from(&first);
    let told = Told::new(&instance);
    let (own, others) = (pod_of(&instance, &first), pod_of(&instance, &other));

    // No secret of ours is in the cluster, and commands are not told where the token is.
    for secret in instance.namespace.ours("secrets") {
        assert!(secret["data"].get("ATELIER_TOKEN").is_none(), "{secret}");
    }
    assert_eq!(instance.exec("env | grep -c ATELIER_TOKEN_FILE").await.0, "0\n");

    let account = format!("studio-{first}");
    let audience = audience(&instance);
    let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &own.name];
    let create = |words: &[&str]| {
        let words =
            [&["create", "token", &account, "--bound-object-uid", &own.uid], words].concat();
        instance.namespace.kubectl(&words).trim().to_owned()
    };
    let for_the_cluster = create(&bound);
    let unbound = ["create", "token", &account, "--audience", &audience];
    let unbound = instance.namespace.kubectl(&unbound).trim().to_owned();
    let right = create(&[&bound[..], &["--audience", &audience]].concat());
    // One letter of the signature is another.
    let mut forged = right.clone();
    let place = right.len() - 40;
    let letter = if right.as_bytes()[place] == b'A' { "B" } else { "A" };
    forged.replace_range(place..=place, letter);
    let liar = Claimed { studio: first.clone(), uid: others.uid.clone(), name: own.name.clone() };
    for (what, token, of) in [
        ("another studio's", &of_other, &own),
        ("another studio's, with its pod", &of_other, &liar),
        ("one for the API server", &for_the_cluster, &own),
        ("one of no pod", &unbound, &own),
        ("the right one for another pod", &right, &liar),
        ("the right one for another studio", &right, &others),
        ("a forged one", &forged, &own),
    ] {
        assert!(!Impostor::new(&told, of, token).is_let_in().await, "{what}");
    }
    assert_eq!(instance.exec("echo here").await.0, "here\n");
    // What was refused would have been let in as the pod.
    let right = Impostor::new(&told, &own, &right);
    assert!(right.is_let_in().await);
    drop(right);
    instance.until_connected().await;

    instance.bring("stop").await;
    instance.studio = other;
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn a_token_ends_with_its_pod() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let told = Told::new(&instance);
    let (own, token) = (pod_of(&instance, &instance.studio), instance.exec(TOKEN).await.0);
    instance.namespace.kubectl(&["delete", "pod", &own.name, "--force", "--grace-period=0"]);
    let late = Impostor::new(&told, &own, &token);
    assert!(!late.is_let_in().await);
    instance.until(&instance.at(""), |studio| studio["state"] == "STOPPED").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn where_the_cluster_is_not_asked_a_token_of_ours_works_once() {
    let instance = Instance::with(blocks(), json!({"identity": "token"})).await;
    instance.bring("start").await;
    let told = Told::new(&instance);
    let own = pod_of(&instance, &instance.studio);
    assert!(!Impostor::new(&told, &own, &told.get("ATELIER_TOKEN")).is_let_in().await);
    assert_eq!(instance.exec("ls /run/atelier-identity").await.1, 1);
    instance.bring("stop").await;
    instance.until_gone().await;
}
