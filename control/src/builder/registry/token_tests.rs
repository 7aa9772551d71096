//! Tokens as registries of clouds want them: handed out per repository, by somebody else, to those with a password.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::SigningKey as _;
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    Content, Descriptor, Placed, Registry, RegistryError,
    served::{Guard, Served},
};

/// Hands out tokens for all that is asked, but for repositories whose name starts with `foreign`.
struct Issuer {
    key: rcgen::KeyPair,
    certificate: String,
    asked: Mutex<Vec<String>>,
}

async fn token(
    State(issuer): State<Arc<Issuer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let basic = format!("Basic {}", STANDARD.encode("user:pass"));
    if headers.get("authorization").is_none_or(|header| *header != *basic) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let query = query.unwrap_or_default();
    let pairs: Vec<(String, String)> = format!("http://x/?{query}")
        .parse::<reqwest::Url>()
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let scopes = pairs.iter().filter(|(name, _)| name == "scope").map(|(_, scope)| scope);
    issuer.asked.lock().await.push(scopes.clone().cloned().collect::<Vec<_>>().join(" "));
    let access: Vec<_> = scopes
        .filter_map(|scope| {
            let mut parts = scope.split(':');
            let (_, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
            let actions: Vec<&str> = actions.split(',').collect();
            (!name.starts_with("foreign"))
                .then(|| json!({"type": "repository", "name": name, "actions": actions}))
        })
        .collect();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [issuer.certificate]});
    let claims = json!({
        "iss": "issuer", "sub": "user", "aud": "registry", "jti": "1",
        "exp": 4_000_000_000_u64, "nbf": 1_000_000_000, "iat": 1_000_000_000, "access": access,
    });
    let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = raw(&issuer.key.sign(signed.as_bytes()).unwrap());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    Ok(json!({"token": token, "expires_in": 300}).to_string())
}

/// Two numbers of 32 bytes out of an ASN.1 sequence of two integers.
fn raw(der: &[u8]) -> Vec<u8> {
    let (mut at, mut found) = (2, Vec::new());
    for _ in 0..2 {
        let length = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        found.extend(vec![0; 32 - number.len()]);
        found.extend_from_slice(number);
        at += 2 + length;
    }
    found
}

#[tokio::test]
async fn a_mount_asks_for_rights_to_both_repositories_and_does_without_when_they_are_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, certificate.pem()).unwrap();
    let certificate = STANDARD.encode(certificate.der());
    let issuer = Arc::new(Issuer { key, certificate, asked: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let realm_host = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/token", get(token)).with_state(Arc::clone(&issuer));
    #[expect(clippy::disallowed_methods, reason = "ends with the test's own runtime")]
    drop(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    let realm = format!("http://{realm_host}/token");
    let served = Served::start(&Guard::Token { realm: &realm, root: &root }, None).await;

    let mut settings = served.settings();
    settings.docker_config = Some(served.login(&served.host, "pass"));
    let (a, b) = (served.repository("team/a"), served.repository("team/b"));
    let content = Content::Bytes("hello".into());
    let blob = Descriptor::of("text/plain", b"hello");

    // No password leaves without TLS, unless the host is named for it.
    let careful = Registry::open(settings.clone()).unwrap();
    let refused = careful.has_blob(&a, &blob.digest).await;
    assert!(matches!(refused, Err(RegistryError::Protocol { .. })), "{refused:?}");
    assert!(issuer.asked.lock().await.is_empty());

    settings.plain_http.insert(realm_host);
    let registry = Registry::open(settings.clone()).unwrap();
    let ensure = async |to, from| registry.ensure_blob(to, &blob, from, &content).await.unwrap();
    assert_eq!(ensure(&a, None).await, Placed::Uploaded);
    assert_eq!(ensure(&b, Some(&a)).await, Placed::Mounted);
    let both = "repository:team/b:pull,push repository:team/a:pull";
    assert!(issuer.asked.lock().await.contains(&both.to_owned()), "{:?}", issuer.asked);
    // A token is asked for once.
    let before = issuer.asked.lock().await.len();
    assert_eq!(ensure(&a, None).await, Placed::Found);
    assert_eq!(issuer.asked.lock().await.len(), before);

    // Who may not read there uploads here; who may not write is told so.
    let foreign = served.repository("foreign/x");
    let other = Descriptor::of("text/plain", b"other");
    let content = Content::Bytes("other".into());
    let placed = registry.ensure_blob(&b, &other, Some(&foreign), &content).await.unwrap();
    assert_eq!(placed, Placed::Uploaded);
    let denied = registry.ensure_blob(&foreign, &other, None, &content).await;
    assert!(matches!(denied, Err(RegistryError::Denied { .. })), "{denied:?}");

    // A password that is wrong for the issuer is named as such.
    settings.docker_config = Some(served.login(&served.host, "wrong"));
    let denied = Registry::open(settings).unwrap().has_blob(&a, &blob.digest).await;
    assert!(matches!(denied, Err(RegistryError::Denied { .. })), "{denied:?}");
}
