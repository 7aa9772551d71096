//! Images that nothing uses any more, and what was remembered for them.

use std::collections::BTreeSet;

use super::{
    NativeBuilder,
    cache::{self, ImageRecord, NodeRecord},
    disk, registry_failed,
};
use crate::{
    builder::{BuildError, registry::Image},
    domain::build::ImageRef,
};

impl NativeBuilder {
    /// Deletes the manifests of images that are not kept; their blobs are then the registry's own garbage. An image's record
    /// goes after its manifest, so that a crash in between only asks for the deletion once more.
    pub(super) async fn sweep(&self, keep: &[ImageRef]) -> Result<(), BuildError> {
        let kept: BTreeSet<&str> = keep.iter().map(|image| image.reference.as_str()).collect();
        let mut layers = BTreeSet::new();
        let mut images = BTreeSet::new();
        for (key, record) in self.cache.all::<ImageRecord>("images").map_err(disk)? {
            if kept.contains(record.reference.as_str()) {
                let own = record.layers.iter().map(|(_, layer)| &layer.blob.digest);
                layers.extend(own.chain(&record.agent).map(|digest| digest.hex().to_owned()));
                images.insert(key);
                continue;
            }
            self.delete(&record.reference).await?;
            self.cache.forget("images", &key).map_err(disk)?;
        }
        for (key, image) in self.cache.all::<String>("built").map_err(disk)? {
            if !images.contains(&image) {
                self.cache.forget("built", &key).map_err(disk)?;
            }
        }
        for (key, record) in self.cache.all::<NodeRecord>("nodes").map_err(disk)? {
            if !record.layers.iter().all(|layer| layers.contains(layer.blob.digest.hex())) {
                for image in &record.pushed {
                    self.delete(image).await?;
                }
                self.cache.forget("nodes", &key).map_err(disk)?;
            }
        }
        for blob in self.cache.blobs().map_err(disk)? {
            if !layers.contains(&blob) {
                cache::remove(&self.cache.blob_by_hex(&blob)).map_err(disk)?;
            }
        }
        Ok(())
    }

    async fn delete(&self, reference: &str) -> Result<(), BuildError> {
        let image: Image = reference.parse().map_err(registry_failed)?;
        let Some(digest) = image.digest() else { return Ok(()) };
        let deleted = self.registry.delete_manifest(&image.repository, &digest).await;
        deleted.map_err(registry_failed)
    }
}
