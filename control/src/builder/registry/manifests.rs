//! Manifests and indexes.

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::{
    Descriptor, Digest, Image, Index, Manifest, Platform, Registry, RegistryError, Repository,
    auth::Scopes,
    media_types,
    request::{Ask, refused},
};

/// What registries must take at least, and take at most. (distribution-spec, "Pushing Manifests")
const LIMIT: usize = 4 << 20;
const DIGEST: &str = "docker-content-digest";

/// A manifest or index as it is in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Bytes,
}

impl Fetched {
    pub fn is_index(&self) -> bool {
        [media_types::INDEX, media_types::DOCKER_INDEX].contains(&self.media_type.as_str())
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.bytes.len() as u64)
    }

    /// As one of our documents.
    pub fn read<T: serde::de::DeserializeOwned>(
        &self,
        at: &Repository,
    ) -> Result<T, RegistryError> {
        serde_json::from_slice(&self.bytes).map_err(|error| RegistryError::Protocol {
            registry: at.registry.clone(),
            why: format!("{} is no document of its type: {error}", self.digest),
        })
    }
}

impl Registry {
    /// Whether a manifest is there, without fetching it; its digest.
    pub async fn manifest_digest(&self, image: &Image) -> Result<Option<Digest>, RegistryError> {
        let at = &image.repository;
        let what = format!("ask for {image}");
        let response = self.send(self.manifest_ask(Method::HEAD, image, &what)?).await?;
        match response.status() {
            StatusCode::OK => (),
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(refused(response, &at.registry, &what).await),
        }
        match stated(&response).or_else(|| image.digest()) {
            Some(digest) => Ok(Some(digest)),
            // The header is optional: then only the bytes say it.
            None => Ok(Some(self.manifest(image).await?.digest)),
        }
    }

    /// Fetches a manifest or index. What is asked for by digest has that digest, or is an error.
    pub async fn manifest(&self, image: &Image) -> Result<Fetched, RegistryError> {
        let at = &image.repository;
        let what = image.to_string();
        let response = self.send(self.manifest_ask(Method::GET, image, &what)?).await?;
        if !response.status().is_success() {
            return Err(refused(response, &at.registry, &what).await);
        }
        let strange = |why: String| RegistryError::Protocol { registry: at.registry.clone(), why };
        let media_type =
            response.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let media_type = media_type.unwrap_or(media_types::MANIFEST);
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        if !media_types::READABLE.contains(&media_type.as_str()) {
            return Err(strange(format!("{image} is of type {media_type}, which no image is of")));
        }
        if response.content_length().is_some_and(|length| length > LIMIT as u64) {
            return Err(strange(format!("{image} is too large for a manifest")));
        }
        let wanted = image.digest();
        let mut response = response;
        let mut bytes = Vec::new();
        let unreachable =
            |source| RegistryError::Unreachable { registry: at.registry.clone(), source };
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LIMIT {
                return Err(strange(format!("{image} is too large for a manifest")));
            }
        }
        let digest = Digest::of(&bytes);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            let (wanted, found) = (wanted.to_string(), digest.to_string());
            return Err(RegistryError::Corrupt { what, wanted, found });
        }
        Ok(Fetched { media_type, digest, bytes: bytes.into() })
    }

    /// The manifest of one platform: the image itself, or that of an index.
    pub async fn manifest_for(
        &self,
        image: &Image,
        platform: &Platform,
    ) -> Result<(Manifest, Fetched), RegistryError> {
        let at = &image.repository;
        let mut fetched = self.manifest(image).await?;
        if fetched.is_index() {
            let index: Index = fetched.read(at)?;
            let fits = |entry: &&Descriptor| {
                entry.platform.as_ref().is_some_and(|it| {
                    it.os == platform.os
                        && it.architecture == platform.architecture
                        && (platform.variant.is_none() || it.variant == platform.variant)
                })
            };
            let entry =
                index.manifests.iter().find(fits).ok_or_else(|| RegistryError::NotFound {
                    registry: at.registry.clone(),
                    what: format!("{image} for {}/{}", platform.os, platform.architecture),
                })?;
            fetched = self.manifest(&Image::by_digest(at, &entry.digest)).await?;
        }
        Ok((fetched.read(at)?, fetched))
    }

    /// Pushes a manifest or index whose blobs are there, by its digest and under `tags`, then asks for it again by digest.
    pub async fn put_manifest(
        &self,
        to: &Repository,
        media_type: &str,
        bytes: Bytes,
        tags: &[&str],
    ) -> Result<Descriptor, RegistryError> {
        let descriptor = Descriptor::of(media_type, &bytes);
        let by_digest = Image::by_digest(to, &descriptor.digest);
        let named = tags.iter().map(|tag| Image::by_tag(to, tag));
        // A tag alone is enough: the digest is then there as well.
        let mut names: Vec<Image> = named.collect();
        if names.is_empty() {
            names.push(by_digest.clone());
        }
        for name in &names {
            self.put_one(name, media_type, bytes.clone()).await?;
        }
        let found = self.manifest_digest(&by_digest).await?;
        if found.as_ref() == Some(&descriptor.digest) {
            return Ok(descriptor);
        }
        let found = found.map_or("not there".to_owned(), |digest| digest.to_string());
        let wanted = descriptor.digest.to_string();
        Err(RegistryError::Corrupt { what: format!("what was pushed to {to}"), wanted, found })
    }

    /// Puts it under one name; answers whether the registry has taken note of its subject.
    pub(super) async fn put_one(
        &self,
        name: &Image,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<bool, RegistryError> {
        let at = &name.repository;
        let what = format!("push {name}");
        let mut ask = self.manifest_ask(Method::PUT, name, &what)?;
        ask.scopes = Scopes::push(at);
        ask.headers = vec![(header::CONTENT_TYPE, media_type.to_owned())];
        let wanted = Digest::of(&bytes);
        ask.body = Some(bytes);
        let response = self.send(ask).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(response, &at.registry, &what).await);
        }
        if let Some(found) = stated(&response).filter(|found| *found != wanted) {
            let (wanted, found) = (wanted.to_string(), found.to_string());
            return Err(RegistryError::Corrupt { what: name.to_string(), wanted, found });
        }
        Ok(response.headers().contains_key("oci-subject"))
    }

    /// Removes a manifest; one that is not there is removed already.
    pub async fn delete_manifest(
        &self,
        at: &Repository,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let image = Image::by_digest(at, digest);
        let what = format!("delete {image}");
        let mut ask = self.manifest_ask(Method::DELETE, &image, &what)?;
        ask.scopes = Scopes::delete(at);
        let response = self.send(ask).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(refused(response, &at.registry, &what).await),
        }
    }

    fn manifest_ask<'a>(
        &self,
        method: Method,
        image: &'a Image,
        what: &str,
    ) -> Result<Ask<'a>, RegistryError> {
        let at = &image.repository;
        Ok(Ask {
            method,
            url: self.url(at, &format!("manifests/{}", image.reference))?,
            repository: at,
            scopes: Scopes::pull(at),
            what: what.to_owned(),
            headers: vec![(header::ACCEPT, media_types::READABLE.join(", "))],
            body: None,
        })
    }
}

fn stated(response: &reqwest::Response) -> Option<Digest> {
    let text = response.headers().get(DIGEST)?.to_str().ok()?;
    Digest::try_from(text.to_owned()).ok()
}
