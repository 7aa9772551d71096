//! A client of the OCI distribution API, for what builders put into registries and take out of them.
//!
//! A blob gets into a repository by the cheapest way that works: it is there (HEAD), it is in another repository of the same
//! registry (mount), it is uploaded. Nothing of a blob is held in memory. What is pushed is asked for again by digest.
//!
//! Ours, and not a crate's: mounting needs one token with the scopes of *both* repositories, and a mount that is not granted
//! answers with an upload that has been opened; both are what the client crates leave out.
//! Not here: what an image consists of (`builder::native`).

mod auth;
mod blobs;
mod challenge;
mod credentials;
mod digest;
mod document;
mod manifests;
mod referrers;
mod repository;
mod request;
mod settings;
mod upload;

pub use blobs::{Content, Placed};
pub use digest::{Digest, Hashing};
pub use document::{Descriptor, Index, Manifest, Platform, media_types};
pub use manifests::Fetched;
pub use repository::{Image, Repository};
pub use settings::RegistrySettings;

use std::time::Duration;

use crate::http_client;
use auth::Tokens;

const CONNECT: Duration = Duration::from_secs(10);
/// Between two reads. A registry that says nothing for so long is not going to.
const SILENCE: Duration = Duration::from_secs(90);

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{text:?} is no name of an image: {why}")]
    Name { text: String, why: String },
    #[error("the registry {registry} can't be reached")]
    Unreachable {
        registry: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{what} is not in the registry {registry}")]
    NotFound { registry: String, what: String },
    /// Wrong or missing credentials, or rights that they do not give.
    #[error("the registry {registry} does not let us {what}: check its credentials")]
    Denied { registry: String, what: String },
    #[error("the registry {registry} answered {status} when asked to {what}: {detail}")]
    Refused { registry: String, what: String, status: u16, detail: String },
    /// It answered with something that the distribution API does not have.
    #[error("the registry {registry} answered strangely: {why}")]
    Protocol { registry: String, why: String },
    #[error("{what} should be {wanted}, and is {found}")]
    Corrupt { what: String, wanted: String, found: String },
    #[error("{what}")]
    Credentials {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{what}")]
    Local {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

/// A client of any number of registries; cheap to share behind an `Arc`.
pub struct Registry {
    http: reqwest::Client,
    settings: RegistrySettings,
    tokens: Tokens,
    /// Larger files are uploaded in parts of this size.
    part_bytes: u64,
}

/// Registries on S3 want at least 5 MiB; a part that fails is sent again.
const PART_BYTES: u64 = 64 << 20;

impl Registry {
    /// A client with these settings. Asks nobody anything yet.
    pub fn open(settings: RegistrySettings) -> Result<Self, RegistryError> {
        let wrong = |what: &str| {
            let what = what.to_owned();
            move |source| RegistryError::Credentials { what, source }
        };
        let http = match &settings.ca_bundle {
            None => http_client::builder(),
            Some(bundle) => http_client::builder_with(bundle).map_err(|error| {
                wrong("the certificates for registries can't be used")(error.into())
            })?,
        };
        let http = http
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| wrong("a client for registries can't be made")(error.into()))?;
        Ok(Self { http, settings, tokens: Tokens::default(), part_bytes: PART_BYTES })
    }
}

#[cfg(test)]
pub(crate) mod served;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
