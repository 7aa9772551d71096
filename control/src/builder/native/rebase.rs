//! The same image on another base, or with another agent, without building anything: layers stay, the manifest is written anew.

use super::{NativeBuilder, cache::ImageRecord, disk, registry_failed, say};
use crate::{
    builder::{BuildError, LogSink, registry::RegistryError},
    domain::build::ImageRef,
};

/// What became of an image that was to be put on another base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// It is what it was.
    Same,
    /// This one replaces it.
    New(ImageRef),
    /// Statements of a Dockerfile saw the old base: they have to be run on the new one.
    HasToBeBuilt,
}

impl NativeBuilder {
    /// Puts an image of this builder on `base` (its own where there is none) with the agent of today.
    pub async fn rebase(
        &self,
        image: &ImageRef,
        base: Option<&str>,
        log: &dyn LogSink,
    ) -> Result<Rebased, BuildError> {
        let _building = self.building.read().await;
        let known = self.cache.all::<ImageRecord>("images").map_err(disk)?;
        let record = known.into_iter().map(|(_, record)| record);
        let record = record
            .filter(|record| record.plan_digest == image.digest)
            .find(|record| record.reference == image.reference)
            .ok_or_else(|| {
                let registry = self.settings.target.registry.clone();
                registry_failed(RegistryError::NotFound { registry, what: image.reference.clone() })
            })?;
        let base = self.base(base.unwrap_or(&record.base), &record.platform).await?;
        let moved = base.image.to_string() != record.base;
        if moved && record.changed_config.is_some() {
            return Ok(Rebased::HasToBeBuilt);
        }
        let agent = self.agent_layer().await?;
        if !moved && agent.as_ref().map(|layer| &layer.blob.digest) == record.agent.as_ref() {
            return Ok(Rebased::Same);
        }
        let fresh = self.push_record(record, &base, agent.as_ref()).await?;
        self.cache.keep_image(None, &fresh).map_err(disk)?;
        say(log, "", &format!("image {}", fresh.reference)).await;
        Ok(Rebased::New(self.reference(&image.digest, &fresh)))
    }
}
