//! Clients of HTTP servers: the one place that says whom TLS believes, and by which cryptography (ring, which builds for musl).

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// A bundle that an administrator names can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the CA bundle {path} can't be used")]
pub struct CaBundleError {
    path: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A client in the making, which believes the system's certificates.
pub fn builder() -> reqwest::ClientBuilder {
    believing(system_roots())
}

/// As [`builder`], and the certificates of `ca_bundle` (PEM) beside: all of them, or it is an error.
pub fn builder_with(ca_bundle: &Path) -> Result<reqwest::ClientBuilder, CaBundleError> {
    let wrong = |source| CaBundleError { path: ca_bundle.display().to_string(), source };
    let mut roots = system_roots();
    let found = CertificateDer::pem_file_iter(ca_bundle).map_err(|error| wrong(error.into()))?;
    let mut count = 0;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(error.into()))?;
        count += 1;
    }
    if count == 0 {
        return Err(wrong("there is no certificate in it".into()));
    }
    Ok(believing(roots))
}

fn believing(roots: RootCertStore) -> reqwest::ClientBuilder {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

/// What can't be read or understood is left out, and said: without a certificate a connection fails, and names it.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "certificates of the system can't be read");
    }
    let (_, ignored) = roots.add_parsable_certificates(system.certs);
    if ignored > 0 {
        tracing::warn!(ignored, "certificates of the system that can't be understood are left out");
    }
    roots
}
