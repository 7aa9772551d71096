//! The base image: found in its registry, for the plan's platform.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tokio::sync::Mutex;

use super::{NativeBuilder, registry_failed};
use crate::builder::{
    BuildError,
    layer::Layer,
    registry::{Digest, Image, Manifest, Platform, RegistryError},
};

/// Bases in memory. Each is some kilobytes.
const LIMIT: usize = 64;

/// A base image.
#[derive(Debug)]
pub(super) struct Base {
    /// By digest: of the manifest for one platform.
    pub(super) image: Image,
    pub(super) layers: Vec<Layer>,
    pub(super) config: Value,
}

impl Base {
    pub(super) fn digest(&self) -> &str {
        &self.image.reference
    }

    /// Such as `linux/amd64`.
    pub(super) fn platform(&self) -> String {
        let word = |name| self.config.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}", word("os"), word("architecture"))
    }
}

/// Bases by digest, which does not change.
#[derive(Default)]
pub(super) struct Bases(Mutex<BTreeMap<(String, String), Arc<Base>>>);

impl NativeBuilder {
    /// Finds a base. By digest it is asked for once; by tag each time, since a tag may move.
    pub(super) async fn base(
        &self,
        reference: &str,
        platform: &str,
    ) -> Result<Arc<Base>, BuildError> {
        let image: Image = reference.parse().map_err(registry_failed)?;
        let digest = match image.digest() {
            Some(digest) => Some(digest),
            None => self.registry.manifest_digest(&image).await.map_err(registry_failed)?,
        };
        let missing = || {
            let (registry, what) =
                (image.repository.registry.clone(), format!("the base image {image}"));
            registry_failed(RegistryError::NotFound { registry, what })
        };
        let digest = digest.ok_or_else(missing)?;
        let pinned = Image::by_digest(&image.repository, &digest);
        let key = (pinned.to_string(), platform.to_owned());
        if let Some(known) = self.bases.0.lock().await.get(&key) {
            return Ok(Arc::clone(known));
        }
        let base = Arc::new(self.read_image(&pinned, platform).await.map_err(registry_failed)?);
        let mut known = self.bases.0.lock().await;
        if known.len() >= LIMIT {
            known.clear();
        }
        known.insert(key, Arc::clone(&base));
        Ok(base)
    }

    /// Reads an image's manifest and config.
    pub(super) async fn read_image(
        &self,
        image: &Image,
        platform: &str,
    ) -> Result<Base, RegistryError> {
        let at = &image.repository;
        let (manifest, fetched) = self.registry.manifest_for(image, &oci(platform)).await?;
        let config = self.registry.small_blob(at, &manifest.config).await?;
        let strange = |why: String| RegistryError::Protocol { registry: at.registry.clone(), why };
        let config: Value = serde_json::from_slice(&config)
            .map_err(|error| strange(format!("the config of {image} can't be read: {error}")))?;
        let layers = layers(&manifest, &config)
            .ok_or_else(|| strange(format!("{image} has other layers than its config says")))?;
        Ok(Base { image: Image::by_digest(at, &fetched.digest), layers, config })
    }
}

/// Blobs of the manifest with the diff IDs of the config, which must be as many.
fn layers(manifest: &Manifest, config: &Value) -> Option<Vec<Layer>> {
    let ids = config.pointer("/rootfs/diff_ids")?.as_array()?;
    if ids.len() != manifest.layers.len() {
        return None;
    }
    let layer = |(blob, id): (&crate::builder::registry::Descriptor, &Value)| {
        let diff_id = Digest::try_from(id.as_str()?.to_owned()).ok()?;
        Some(Layer { blob: blob.clone(), diff_id })
    };
    manifest.layers.iter().zip(ids).map(layer).collect()
}

/// `linux/x86_64`, as machines are called, in the words of images.
fn oci(platform: &str) -> Platform {
    let (os, machine) = platform.split_once('/').unwrap_or(("linux", platform));
    let architecture = match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform { architecture: architecture.into(), os: os.into(), variant: None }
}
