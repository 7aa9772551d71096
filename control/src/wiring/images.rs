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

/// Where a container that builds sees the bundle; see `builder::buildah`.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Variables by which programs find certificates: of this machine, and therefore not for containers.
const CERTIFICATES: [&str; 7] = [
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

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
    environment: BTreeMap<String, String>,
) -> Result<NativeBuilder, ServerError> {
    let build_env = for_containers(environment, factory.ca_bundle.is_some());
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

/// What install scripts in a container may know of this machine's environment.
fn for_containers(
    mut environment: BTreeMap<String, String>,
    has_bundle: bool,
) -> BTreeMap<String, String> {
    for name in CERTIFICATES {
        environment.remove(name);
        if has_bundle && name != "SSL_CERT_DIR" {
            environment.insert(name.to_owned(), BUNDLE.to_owned());
        }
    }
    environment
}

fn unusable(source: std::io::Error) -> ServerError {
    ServerError::Io { what: "the builder's folder can't be used".into(), source }
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> ServerError {
    ServerError::Images(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BUNDLE, for_containers};

    #[test]
    fn containers_see_no_path_of_this_machine() {
        let ours =
            [("PIP_CERT", "/home/me/ca.pem"), ("SSL_CERT_DIR", "/home"), ("PIP_INDEX_URL", "u")];
        let ours: BTreeMap<String, String> =
            ours.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let without = for_containers(ours.clone(), false);
        assert_eq!(without.into_iter().collect::<Vec<_>>(), [("PIP_INDEX_URL".into(), "u".into())]);
        let with = for_containers(ours, true);
        assert_eq!((with["PIP_CERT"].as_str(), with["SSL_CERT_FILE"].as_str()), (BUNDLE, BUNDLE));
        assert!(!with.contains_key("SSL_CERT_DIR") && with["PIP_INDEX_URL"] == "u");
    }
}
