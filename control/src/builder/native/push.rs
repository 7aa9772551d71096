//! Layers, config and manifest get into the registry.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use images::plan::BuildPlan;
use serde::Serialize;

use super::{
    NativeBuilder,
    base::Base,
    cache::ImageRecord,
    config::{self, Parts},
    registry_failed,
    stack::Stack,
};
use crate::builder::{
    BuildError,
    layer::Layer,
    registry::{Content, Descriptor, Image, Manifest, RegistryError, media_types},
};

/// Layers that travel at once.
const AT_ONCE: usize = 6;
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Length of a tag out of a digest: enough to tell plans apart.
const TAG: usize = 32;

impl NativeBuilder {
    /// Pushes a finished image.
    pub(super) async fn push_image(
        &self,
        plan: &BuildPlan,
        base: &Base,
        stack: Stack,
        agent: Option<&Layer>,
    ) -> Result<ImageRecord, BuildError> {
        let record = ImageRecord {
            reference: String::new(),
            plan_digest: plan.digest.clone(),
            base: base.image.to_string(),
            platform: plan.platform.clone(),
            layers: stack.layers,
            config: (&plan.config).into(),
            changed_config: stack.config_changed.then_some(stack.config),
            agent: None,
        };
        self.push_record(record, base, agent).await
    }

    /// Pushes what a record describes, on this base and with this agent.
    pub(super) async fn push_record(
        &self,
        mut record: ImageRecord,
        base: &Base,
        agent: Option<&Layer>,
    ) -> Result<ImageRecord, BuildError> {
        let mut layers = record.layers.clone();
        layers.extend(agent.map(|layer| ("agent".to_owned(), layer.clone())));
        let parts = Parts {
            from: record.changed_config.as_ref().unwrap_or(&base.config),
            base_layers: &base.layers,
            layers: &layers,
            studio: Some(&record.config),
            plan_digest: Some(&record.plan_digest),
        };
        let tag = format!("plan-{}", record.plan_digest.get(..TAG).unwrap_or(&record.plan_digest));
        let image = self.push(base, &parts, &[&tag]).await.map_err(registry_failed)?;
        record.reference = image.to_string();
        record.base = base.image.to_string();
        record.agent = agent.map(|layer| layer.blob.digest.clone());
        Ok(record)
    }

    /// Pushes what a node is to be run on; the base itself where nothing lies on it.
    pub(super) async fn push_below(&self, base: &Base, stack: &Stack) -> Result<Image, BuildError> {
        if stack.layers.is_empty() && !stack.config_changed {
            return Ok(base.image.clone());
        }
        let parts = Parts {
            from: &stack.config,
            base_layers: &base.layers,
            layers: &stack.layers,
            studio: None,
            plan_digest: None,
        };
        self.push(base, &parts, &[]).await.map_err(registry_failed)
    }

    async fn push(
        &self,
        base: &Base,
        parts: &Parts<'_>,
        tags: &[&str],
    ) -> Result<Image, RegistryError> {
        let target = &self.settings.target;
        let from = &base.image.repository;
        let config = bytes_of(&config::composed(parts));
        let config_blob = Descriptor::of(media_types::CONFIG, &config);
        // Docker's names for the same formats, in the names of the manifest that they are put into.
        let layers: Vec<Descriptor> = parts
            .base_layers
            .iter()
            .chain(parts.layers.iter().map(|(_, layer)| layer))
            .map(|layer| in_oci_s_words(layer.blob.clone()))
            .collect();
        let remote = Content::Remote(from.clone());
        let of_base =
            parts.base_layers.iter().map(|layer| (&layer.blob, Some(from), remote.clone()));
        let own = parts.layers.iter().map(|(_, layer)| {
            (&layer.blob, None, Content::File(self.cache.blob(&layer.blob.digest)))
        });
        let blobs = of_base.chain(own).chain([(&config_blob, None, Content::Bytes(config))]);
        let placing = blobs.map(|(blob, mount, content)| async move {
            self.registry.ensure_blob(target, blob, mount, &content).await
        });
        let placing: Vec<_> = placing.collect();
        stream::iter(placing).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;

        let mut manifest = Manifest::new(config_blob, layers);
        let base_name = (BASE_NAME.to_owned(), from.to_string());
        let base_digest = (BASE_DIGEST.to_owned(), base.digest().to_owned());
        manifest.annotations.extend([base_name, base_digest]);
        let pushed = self
            .registry
            .put_manifest(target, media_types::MANIFEST, bytes_of(&manifest), tags)
            .await?;
        Ok(Image::by_digest(target, &pushed.digest))
    }
}

fn in_oci_s_words(mut blob: Descriptor) -> Descriptor {
    match blob.media_type.as_str() {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            media_types::LAYER_GZIP.clone_into(&mut blob.media_type);
        }
        "application/vnd.docker.image.rootfs.diff.tar" => {
            media_types::LAYER_TAR.clone_into(&mut blob.media_type);
        }
        _ => (),
    }
    blob
}

fn bytes_of<T: Serialize>(document: &T) -> Bytes {
    serde_json::to_vec(document).expect("documents have string keys alone").into()
}
