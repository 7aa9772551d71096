//! The certificate authority that agents trust: our own, made once, kept in the data folder.
//!
//! The server's certificate is made anew at every start and lives in memory only: the authority is what agents pin.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The name in the server's certificate. Agents are told it; no DNS is involved.
pub const SERVER_NAME: &str = "control-plane.atelier.internal";

/// What of the authority's key agents' tokens come from.
const TOKENS: &str = "atelier 2026-11-27 first tokens of agents";

#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("{} can't be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a certificate can't be made or read")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

/// What the listener needs and what agents are given.
#[derive(Clone)]
pub struct Ca {
    /// PEM.
    pub certificate: String,
    pub server: Arc<ServerConfig>,
    /// Agents' first tokens come from it: it stays what it is as long as the authority does.
    pub(super) token_secret: [u8; 32],
}

impl Ca {
    /// Reads the authority from `dir`, or makes it there.
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CaError::File { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        // One file for both, so that a crash can't leave a key without its certificate.
        let file = dir.join("agents-ca.pem");
        let pem = match fs::read_to_string(&file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pem = make()?;
                write_private(&file, pem.as_bytes()).map_err(failed(&file))?;
                pem
            }
            Err(error) => return Err(failed(&file)(error)),
        };
        let (certificate, key) = split(&pem);
        let token_secret = blake3::derive_key(TOKENS, key.as_bytes());
        let key = KeyPair::from_pem(key)?;
        // Name and key are all that a signature takes from the authority.
        let issuer = Issuer::new(authority()?, key);
        let server_key = KeyPair::generate()?;
        let server_certificate =
            CertificateParams::new([SERVER_NAME.to_owned()])?.signed_by(&server_key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![server_certificate.der().clone()], key)?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { certificate, server: Arc::new(server), token_secret })
    }
}

fn make() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = authority()?.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

fn authority() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Atelier agents");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// The certificate, and the key that follows it.
fn split(pem: &str) -> (String, &str) {
    const END: &str = "-----END CERTIFICATE-----";
    match pem.split_once(END) {
        Some((body, key)) => (format!("{body}{END}\n"), key.trim_start()),
        None => (String::new(), pem),
    }
}

fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    if let Some(folder) = file.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_authority_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Ca::open(dir.path()).unwrap();
        let second = Ca::open(dir.path()).unwrap();
        assert_eq!(first.certificate, second.certificate);
        assert!(!first.certificate.contains("PRIVATE"));
        let mode = fs::metadata(dir.path().join("agents-ca.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_authority_is_an_error_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("agents-ca.pem"), "nonsense").unwrap();
        assert!(Ca::open(dir.path()).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("agents-ca.pem")).unwrap(), "nonsense");
    }
}
