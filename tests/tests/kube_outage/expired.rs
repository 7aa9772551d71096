//! A token whose time is over. The cluster gives none for less than ten minutes; with its own key one is made that was.

use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::{
    cluster::setting,
    impostor::{Impostor, TOKEN, Told, pod_of},
    instance::Instance,
};

/// What a token says with other times, signed as the cluster signs.
fn again(token: &str, shift_s: i64) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let said = BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap();
    let mut said: Value = serde_json::from_slice(&said).unwrap();
    for name in ["exp", "iat", "nbf"] {
        said[name] = (said[name].as_i64().unwrap() + shift_s).into();
    }
    let said = format!("{}.{}", parts[0], BASE64URL_NOPAD.encode(said.to_string().as_bytes()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &said).unwrap();
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-sign", &setting("ATELIER_TEST_SERVICE_ACCOUNTS_KEY")]);
    let signed = command.arg(file.path()).output().unwrap();
    assert!(signed.status.success(), "{signed:?}");
    format!("{said}.{}", BASE64URL_NOPAD.encode(&signed.stdout))
}

#[tokio::test]
async fn a_token_whose_time_is_over_opens_nothing() {
    let instance = Instance::new().await;
    instance.bring("start").await;
    let told = Told::new(&instance);
    let (own, token) = (pod_of(&instance, &instance.studio), instance.exec(TOKEN).await.0);
    let expired = again(&token, -7200);
    assert!(!Impostor::new(&told, &own, &expired).is_let_in().await);
    // Only its time was wrong.
    assert!(Impostor::new(&told, &own, &again(&token, -1)).is_let_in().await);
    instance.until_connected().await;
    instance.bring("stop").await;
    instance.until_gone().await;
}
