//! What makes the runtime's images.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    builder::{
        Builder,
        buildah::{BuildahRunner, BuildahSettings},
        layer::Packing,
        native::{NativeBuilder, NativeSettings},
        prefix::PrefixBuilder,
        ready::ReadyBuilder,
        registry::{Registry, RegistrySettings, Repository},
        runner::Runner,
    },
    instance::Instance,
    server::{ImageChoice, ImageFactory, RuntimeChoice, ServerError},
};

/// The builder, and what its images stand on.
pub(super) async fn builder(
    instance: &Instance,
    runtime: &RuntimeChoice,
    environment: BTreeMap<String, String>,
) -> Result<(Arc<dyn Builder>, String), ServerError> {
    match runtime {
        RuntimeChoice::Process { .. } => {
            let prefix = PrefixBuilder::open(&instance.path("prefix"), environment);
            Ok((Arc::new(prefix.map_err(unusable)?), "machine".into()))
        }
        RuntimeChoice::Kubernetes { images: ImageChoice::Ready(image), .. } => {
            Ok((Arc::new(ReadyBuilder::new(image.clone())), image.clone()))
        }
        RuntimeChoice::Kubernetes { images: ImageChoice::Built(factory), .. } => {
            let native = native(instance, factory, environment).await?;
            Ok((Arc::new(native), factory.base.clone()))
        }
    }
}

async fn native(
    instance: &Instance,
    factory: &ImageFactory,
    build_env: BTreeMap<String, String>,
) -> Result<NativeBuilder, ServerError> {
    let target: Repository = factory.repository.parse().map_err(wrong)?;
    let registry = Registry::open(RegistrySettings {
        plain_http: factory.plain_http.clone(),
        ca_bundle: factory.ca_bundle.clone(),
        docker_config: factory.docker_config.clone(),
        helper_env: factory.helper_env.clone(),
    });
    let registry = registry.map_err(wrong)?;
    let runner = if factory.with_buildah {
        let settings = BuildahSettings {
            folder: instance.path("buildah"),
            target: target.clone(),
            storage_driver: "overlay".into(),
            plain_http: factory.plain_http.clone(),
            docker_config: factory.docker_config.clone(),
            ca_bundle: factory.ca_bundle.clone(),
            build_env: build_env.clone(),
        };
        let runner = BuildahRunner::open(settings).await.map_err(wrong)?;
        Some(Arc::new(runner) as Arc<dyn Runner>)
    } else {
        None
    };
    let settings = NativeSettings {
        target,
        agent: factory.agent.clone(),
        packing: Packing::default(),
        folder: instance.path("images"),
        build_env,
    };
    NativeBuilder::open(settings, registry, runner).map_err(unusable)
}

fn unusable(source: std::io::Error) -> ServerError {
    ServerError::Io { what: "the builder's folder can't be used".into(), source }
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> ServerError {
    ServerError::Images(Box::new(error))
}
