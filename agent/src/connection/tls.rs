//! Dials a control plane and checks its certificate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Config;

/// Of the TCP connection, and again of the handshake.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
const PROTOCOL: &[u8] = b"h2";

/// Settings that no attempt could succeed with.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("ATELIER_CA holds no usable certificate: {reason}")]
    Ca { reason: String },
    #[error("{name:?} is no name that a certificate can carry")]
    Name { name: String },
    #[error("TLS can't be set up: {source}")]
    Setup { source: rustls::Error },
}

/// Dials any of the control plane's addresses.
#[derive(Clone)]
pub(crate) struct Dialer {
    addresses: Vec<String>,
    name: Option<ServerName<'static>>,
    connector: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(config: &Config) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(config.ca.as_bytes()) {
            let certificate =
                certificate.map_err(|error| TlsError::Ca { reason: error.to_string() })?;
            roots.add(certificate).map_err(|error| TlsError::Ca { reason: error.to_string() })?;
        }
        if roots.is_empty() {
            return Err(TlsError::Ca { reason: "there is none".to_owned() });
        }
        let mut tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|source| TlsError::Setup { source })?
                .with_root_certificates(roots)
                .with_no_client_auth();
        tls.alpn_protocols = vec![PROTOCOL.to_vec()];
        let name = config.control_plane_name.as_deref().map(server_name).transpose()?;
        // Addresses without a usable host must fail now, not at every attempt.
        for address in &config.control_planes {
            server_name(host(address))?;
        }
        Ok(Self {
            addresses: config.control_planes.clone(),
            name,
            connector: TlsConnector::from(Arc::new(tls)),
        })
    }

    /// One attempt, at an address picked at random. Cancel safe.
    pub(crate) async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let address =
            self.addresses.choose(&mut rand::rng()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host(address)).map_err(io::Error::other)?,
        };
        let tcp = timeout(DIAL_TIMEOUT, TcpStream::connect(address.as_str())).await??;
        tcp.set_nodelay(true)?;
        let stream = timeout(DIAL_TIMEOUT, self.connector.connect(name, tcp)).await??;
        if stream.get_ref().1.alpn_protocol() == Some(PROTOCOL) {
            Ok(stream)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the other side does not speak HTTP/2"))
        }
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name { name: name.to_owned() })
}
