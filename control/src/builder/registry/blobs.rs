//! Blobs: asked for, mounted, fetched.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Method, StatusCode, header};

use super::{
    Descriptor, Digest, Hashing, Registry, RegistryError, Repository,
    auth::Scopes,
    request::{Ask, refused},
};

/// Documents are read whole up to here.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Where a blob's bytes are, when it is in no repository that we may mount from.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Bytes),
    /// A file that does not change.
    File(PathBuf),
    /// Another registry.
    Remote(Repository),
}

/// How a blob got to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It had been there.
    Found,
    Mounted,
    Uploaded,
}

impl Registry {
    /// Makes sure that a repository has a blob, by the cheapest way. Idempotent; nothing is seen of an upload that ended early.
    pub async fn ensure_blob(
        &self,
        to: &Repository,
        blob: &Descriptor,
        mount_from: Option<&Repository>,
        content: &Content,
    ) -> Result<Placed, RegistryError> {
        if self.has_blob(to, &blob.digest).await? {
            return Ok(Placed::Found);
        }
        let from = mount_from.filter(|from| from.registry == to.registry && *from != to);
        let session = match from {
            Some(from) => match self.mount(from, to, &blob.digest).await? {
                Mount::Done => return Ok(Placed::Mounted),
                Mount::UploadInstead(session) => session,
            },
            None => self.open_upload(to).await?,
        };
        self.upload(to, session, blob, content).await?;
        if !self.has_blob(to, &blob.digest).await? {
            return Err(RegistryError::Corrupt {
                what: format!("a blob that was pushed to {to}"),
                wanted: blob.digest.to_string(),
                found: "not there".into(),
            });
        }
        Ok(Placed::Uploaded)
    }

    pub async fn has_blob(&self, at: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        let what = format!("ask for blob {digest} of {at}");
        let ask = Ask {
            method: Method::HEAD,
            url: self.url(at, &format!("blobs/{digest}"))?,
            repository: at,
            scopes: Scopes::pull(at),
            what: what.clone(),
            headers: Vec::new(),
            body: None,
        };
        let response = self.send(ask).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(response, &at.registry, &what).await),
        }
    }

    /// The blob's bytes as they come. They end with an error when they are not those of the digest.
    pub async fn blob(
        &self,
        at: &Repository,
        blob: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + use<>, RegistryError>
    {
        let what = format!("fetch blob {} of {at}", blob.digest);
        let ask = Ask {
            method: Method::GET,
            url: self.url(at, &format!("blobs/{}", blob.digest))?,
            repository: at,
            scopes: Scopes::pull(at),
            what: what.clone(),
            headers: Vec::new(),
            body: None,
        };
        let response = self.send(ask).await?;
        if !response.status().is_success() {
            return Err(refused(response, &at.registry, &what).await);
        }
        let registry = at.registry.clone();
        let bytes = response.bytes_stream().map(move |part| {
            part.map_err(|source| RegistryError::Unreachable { registry: registry.clone(), source })
        });
        Ok(verified(bytes, what, blob.digest.clone()))
    }

    /// A small blob as a whole.
    pub async fn small_blob(
        &self,
        at: &Repository,
        blob: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        let mut parts = Box::pin(self.blob(at, blob).await?);
        let mut whole = Vec::new();
        while let Some(part) = parts.next().await {
            whole.extend_from_slice(&part?);
            if whole.len() as u64 > DOCUMENT_LIMIT {
                return Err(RegistryError::Protocol {
                    registry: at.registry.clone(),
                    why: format!("blob {} is too large for a document", blob.digest),
                });
            }
        }
        Ok(whole.into())
    }

    /// Asks for a blob of another repository. Not granted is not an error: the answer is an upload that has been opened.
    async fn mount(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
    ) -> Result<Mount, RegistryError> {
        let what = format!("mount blob {digest} of {from} in {to}");
        let mut url = self.url(to, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", &from.name);
        let ask = Ask {
            method: Method::POST,
            url,
            repository: to,
            scopes: Scopes::mount(from, to),
            what: what.clone(),
            headers: Vec::new(),
            body: None,
        };
        let sent = self.send(ask).await;
        // Someone who may push here and not read there is told so, instead of being given an upload.
        let response = match sent {
            Err(RegistryError::Denied { .. }) => {
                return Ok(Mount::UploadInstead(self.open_upload(to).await?));
            }
            sent => sent?,
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => Ok(Mount::UploadInstead(self.location(&response, to)?)),
            _ => Err(refused(response, &to.registry, &what).await),
        }
    }

    /// Opens an upload: where the bytes go.
    pub(super) async fn open_upload(&self, to: &Repository) -> Result<reqwest::Url, RegistryError> {
        let what = format!("upload to {to}");
        let ask = Ask {
            method: Method::POST,
            url: self.url(to, "blobs/uploads/")?,
            repository: to,
            scopes: Scopes::push(to),
            what: what.clone(),
            headers: Vec::new(),
            body: None,
        };
        let response = self.send(ask).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response, &to.registry, &what).await);
        }
        self.location(&response, to)
    }

    /// Where an upload goes on; relative addresses are the registry's.
    pub(super) fn location(
        &self,
        response: &reqwest::Response,
        to: &Repository,
    ) -> Result<reqwest::Url, RegistryError> {
        let strange =
            |why: &str| RegistryError::Protocol { registry: to.registry.clone(), why: why.into() };
        let location = response.headers().get(header::LOCATION).and_then(|it| it.to_str().ok());
        let location = location.ok_or_else(|| strange("an upload without an address"))?;
        let url = response.url().join(location);
        let url = url.map_err(|_| strange("an upload with an address that is none"))?;
        // A registry behind a proxy that ends TLS may call itself http.
        let own = self.settings.scheme(&to.registry);
        let downgraded = url.scheme() == "http" && own == "https";
        if !downgraded {
            return Ok(url);
        }
        let secure = format!("https{}", url.as_str().trim_start_matches("http"));
        secure.parse().map_err(|_| strange("an upload with an address that is none"))
    }
}

enum Mount {
    Done,
    UploadInstead(reqwest::Url),
}

/// Hashes what passes, and adds an error at the end when it was not what it should be.
pub(super) fn verified(
    bytes: impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static,
    what: String,
    wanted: Digest,
) -> impl Stream<Item = Result<Bytes, RegistryError>> + Send {
    let start = (Box::pin(bytes), Some(Hashing::default()), what, wanted);
    stream::try_unfold(start, async |(mut bytes, hashing, what, wanted)| {
        let Some(mut hashing) = hashing else { return Ok(None) };
        if let Some(part) = bytes.next().await {
            let part = part?;
            hashing.update(&part);
            return Ok(Some((part, (bytes, Some(hashing), what, wanted))));
        }
        let found = hashing.finish();
        if found == wanted {
            return Ok(None);
        }
        let (wanted, found) = (wanted.to_string(), found.to_string());
        Err(RegistryError::Corrupt { what, wanted, found })
    })
}
