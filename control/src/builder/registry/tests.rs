use std::{
    fs,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::{
    Content, Descriptor, Digest, Image, Index, Manifest, Placed, Platform, Registry, RegistryError,
    RegistrySettings, Repository, media_types,
    served::{Guard, Served},
};

fn bytes(text: &str) -> (Descriptor, Content) {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    (Descriptor::of("application/octet-stream", &bytes), Content::Bytes(bytes))
}

/// A file of random bytes.
fn file(folder: &Path, size: usize) -> (Descriptor, Content) {
    let path = folder.join(format!("{size}"));
    let mut file = fs::File::create(&path).unwrap();
    let mut hashing = super::Hashing::default();
    for start in (0..size).step_by(1 << 20) {
        let mut part = vec![0; (size - start).min(1 << 20)];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut part);
        hashing.update(&part);
        file.write_all(&part).unwrap();
    }
    let blob = Descriptor::new("application/octet-stream", hashing.finish(), size as u64);
    (blob, Content::File(path))
}

async fn image(registry: &Registry, at: &Repository, text: &str) -> (Manifest, Bytes) {
    let (config, content) = bytes(text);
    registry.ensure_blob(at, &config, None, &content).await.unwrap();
    let manifest = Manifest::new(config, Vec::new());
    let bytes = serde_json::to_vec(&manifest).unwrap().into();
    (manifest, bytes)
}

#[tokio::test]
async fn a_blob_is_found_mounted_or_uploaded() {
    let served = Served::open().await;
    let (registry, a, b) = (served.client(), served.repository("team/a"), served.repository("b"));
    let (blob, content) = bytes("hello");
    let ensure = async |to, from| registry.ensure_blob(to, &blob, from, &content).await.unwrap();
    // What no repository has can't be mounted: the registry answers with an upload, and that is used.
    assert_eq!(ensure(&a, Some(&b)).await, Placed::Uploaded);
    assert_eq!(ensure(&a, None).await, Placed::Found);
    assert_eq!(ensure(&b, Some(&a)).await, Placed::Mounted);
    assert_eq!(registry.small_blob(&b, &blob).await.unwrap(), "hello");

    // From another registry, without a copy here.
    let other = Served::open().await;
    let settings = RegistrySettings {
        plain_http: [served.host.clone(), other.host.clone()].into(),
        ..RegistrySettings::default()
    };
    let (both, far) = (Registry::open(settings).unwrap(), other.repository("c"));
    let placed =
        both.ensure_blob(&far, &blob, Some(&a), &Content::Remote(a.clone())).await.unwrap();
    assert_eq!(placed, Placed::Uploaded);
    assert_eq!(both.small_blob(&far, &blob).await.unwrap(), "hello");

    // Bytes that are not those of the digest get nowhere.
    let (wrong, _) = bytes("something else");
    let refused = registry.ensure_blob(&a, &wrong, None, &content).await;
    assert!(matches!(refused, Err(RegistryError::Refused { status: 400, .. })), "{refused:?}");
    assert!(!registry.has_blob(&a, &wrong.digest).await.unwrap());
}

#[tokio::test]
async fn manifests_are_pushed_found_and_deleted_by_digest() {
    let served = Served::open().await;
    let (registry, at) = (served.client(), served.repository("team/app"));
    let (manifest, document) = image(&registry, &at, "{}").await;
    let tags = ["one", "two"];
    let pushed = registry.put_manifest(&at, media_types::MANIFEST, document.clone(), &tags).await;
    let pushed = pushed.unwrap();
    let by_digest = Image::by_digest(&at, &pushed.digest);
    for name in [&by_digest, &Image::by_tag(&at, "one"), &Image::by_tag(&at, "two")] {
        let fetched = registry.manifest(name).await.unwrap();
        assert_eq!((&fetched.bytes, &fetched.digest), (&document, &pushed.digest));
        assert_eq!(registry.manifest_digest(name).await.unwrap().unwrap(), pushed.digest);
    }

    // Of an index, the platform's.
    let platform = |architecture: &str| Platform {
        architecture: architecture.into(),
        os: "linux".into(),
        variant: None,
    };
    let mut entry = pushed.clone();
    entry.platform = Some(platform("arm64"));
    let index = serde_json::to_vec(&Index::new(vec![entry])).unwrap();
    registry.put_manifest(&at, media_types::INDEX, index.into(), &["multi"]).await.unwrap();
    let multi = Image::by_tag(&at, "multi");
    let (found, fetched) = registry.manifest_for(&multi, &platform("arm64")).await.unwrap();
    assert_eq!((found, fetched.digest), (manifest, pushed.digest.clone()));
    let missing = registry.manifest_for(&multi, &platform("s390x")).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");

    registry.delete_manifest(&at, &pushed.digest).await.unwrap();
    registry.delete_manifest(&at, &pushed.digest).await.unwrap();
    assert_eq!(registry.manifest_digest(&by_digest).await.unwrap(), None);
    assert!(matches!(registry.manifest(&by_digest).await, Err(RegistryError::NotFound { .. })));
}

#[tokio::test]
async fn what_refers_to_an_image_is_listed() {
    let served = Served::open().await;
    let (registry, at) = (served.client(), served.repository("app"));
    let (_, document) = image(&registry, &at, "{}").await;
    let subject =
        registry.put_manifest(&at, media_types::MANIFEST, document, &["x"]).await.unwrap();
    assert_eq!(registry.referrers(&at, &subject.digest).await.unwrap(), []);
    let mut attached = Vec::new();
    for kind in ["application/spdx+json", "application/vnd.in-toto+json"] {
        let (mut artifact, _) = image(&registry, &at, kind).await;
        artifact.artifact_type = Some(kind.to_owned());
        artifact.subject = Some(subject.clone());
        let first = registry.attach(&at, &artifact).await.unwrap();
        assert_eq!(registry.attach(&at, &artifact).await.unwrap(), first);
        attached.push(first);
    }
    assert_eq!(registry.referrers(&at, &subject.digest).await.unwrap(), attached);
}

#[tokio::test]
async fn passwords_are_shown_when_asked_for_and_wrong_ones_are_named() {
    let served = Served::start(&Guard::Password, None).await;
    let at = served.repository("private");
    let (blob, content) = bytes("secret");
    let client = |password: Option<&str>| {
        let mut settings = served.settings();
        settings.docker_config = password.map(|password| served.login(&served.host, password));
        Registry::open(settings).unwrap()
    };
    for registry in [client(None), client(Some("wrong"))] {
        let denied = registry.ensure_blob(&at, &blob, None, &content).await;
        assert!(matches!(denied, Err(RegistryError::Denied { .. })), "{denied:?}");
    }
    let registry = client(Some("pass"));
    assert_eq!(registry.ensure_blob(&at, &blob, None, &content).await.unwrap(), Placed::Uploaded);
    // A body that can be sent once finds the way in before.
    let (blob, content) = file(served.folder.path(), 1 << 20);
    let placed = client(Some("pass")).ensure_blob(&at, &blob, None, &content).await.unwrap();
    assert_eq!(placed, Placed::Uploaded);
}

#[tokio::test]
async fn tls_is_checked_and_plain_http_is_spoken_where_it_is_named_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let served = Served::start(&Guard::Nothing, Some((&certificate, &key))).await;
    let at = served.repository("a");
    let (blob, content) = bytes("hello");
    let trusting = RegistrySettings { ca_bundle: Some(certificate), ..RegistrySettings::default() };
    let registry = Registry::open(trusting).unwrap();
    assert_eq!(registry.ensure_blob(&at, &blob, None, &content).await.unwrap(), Placed::Uploaded);
    let stranger = Registry::open(RegistrySettings::default()).unwrap();
    let refused = stranger.has_blob(&at, &blob.digest).await;
    assert!(matches!(refused, Err(RegistryError::Unreachable { .. })), "{refused:?}");

    let plain = Served::open().await;
    let refused = stranger.has_blob(&plain.repository("a"), &blob.digest).await;
    assert!(matches!(refused, Err(RegistryError::Unreachable { .. })), "{refused:?}");
    for wrong in [folder.path().join("none"), key] {
        let settings = RegistrySettings { ca_bundle: Some(wrong), ..RegistrySettings::default() };
        assert!(matches!(Registry::open(settings), Err(RegistryError::Credentials { .. })));
    }
}

/// Passes connections on to `target`, and breaks the first `cuts` that carry more than `limit` bytes there.
async fn cutting(target: String, cuts: usize, limit: u64) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let serve = async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (target, count) = (target.clone(), Arc::clone(&count));
            let pass = async move {
                let Ok(mut far) = TcpStream::connect(target).await else { return };
                let (from, mut to) = near.split();
                let (mut back, mut forth) = far.split();
                let left = if count.load(Ordering::SeqCst) < cuts { limit } else { u64::MAX };
                let mut limited = tokio::io::AsyncReadExt::take(from, left);
                let there = async {
                    let passed = tokio::io::copy(&mut limited, &mut forth).await;
                    if passed.is_ok_and(|passed| passed == left) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                };
                tokio::select! {
                    () = there => (),
                    _ = tokio::io::copy(&mut back, &mut to) => (),
                }
            };
            #[expect(clippy::disallowed_methods, reason = "ends with the test's own runtime")]
            drop(tokio::spawn(pass));
        }
    };
    #[expect(clippy::disallowed_methods, reason = "ends with the test's own runtime")]
    drop(tokio::spawn(serve));
    (address, made)
}

#[tokio::test]
async fn a_large_blob_survives_broken_connections() {
    let served = Served::open().await;
    let (host, cuts) = cutting(served.host.clone(), 3, 2_500_000).await;
    let settings =
        RegistrySettings { plain_http: [host.clone()].into(), ..RegistrySettings::default() };
    let mut registry = Registry::open(settings).unwrap();
    registry.part_bytes = 1 << 20;
    let at = Repository { registry: host, name: "large".into() };
    let (blob, content) = file(served.folder.path(), (5 << 20) + 77);
    assert_eq!(registry.ensure_blob(&at, &blob, None, &content).await.unwrap(), Placed::Uploaded);
    assert_eq!(cuts.load(Ordering::SeqCst), 3);
    let direct = served.client();
    let parts = direct.blob(&served.repository("large"), &blob).await.unwrap();
    let mut parts = Box::pin(parts);
    let mut size = 0;
    while let Some(part) = parts.next().await {
        size += part.unwrap().len();
    }
    assert_eq!(size as u64, blob.size);

    // One that never gets further ends with an error, in bounded time.
    let (host, _) = cutting(served.host.clone(), usize::MAX, 500_000).await;
    let settings =
        RegistrySettings { plain_http: [host.clone()].into(), ..RegistrySettings::default() };
    let mut registry = Registry::open(settings).unwrap();
    registry.part_bytes = 1 << 20;
    let at = Repository { registry: host, name: "never".into() };
    assert!(registry.ensure_blob(&at, &blob, None, &content).await.is_err());
}

#[tokio::test]
async fn a_registry_that_lies_about_a_blob_is_found_out() {
    let served = Served::open().await;
    let (registry, at) = (served.client(), served.repository("a"));
    let (blob, content) = bytes("good bytes");
    registry.ensure_blob(&at, &blob, None, &content).await.unwrap();
    let (digest, hex) = (blob.digest.clone(), blob.digest.hex());
    let path =
        format!("blobs/docker/registry/v2/blobs/sha256/{}/{hex}/data", hex.get(..2).unwrap());
    fs::write(served.folder.path().join(path), "evil bytes").unwrap();
    let found = registry.small_blob(&at, &blob).await;
    assert!(
        matches!(&found, Err(RegistryError::Corrupt { wanted, .. }) if *wanted == digest.to_string()),
        "{found:?}"
    );
    assert_ne!(Digest::of(b"evil bytes"), digest);
}
