//! What refers to an image: bills of materials, provenance. By the registry's own list, or, where it has none, by an index
//! under a tag that all clients agree on. (distribution-spec, "Listing Referrers" and "Referrers Tag Schema")

use bytes::Bytes;
use http::{Method, StatusCode};

use super::{
    Descriptor, Digest, Image, Index, Manifest, Registry, RegistryError, Repository,
    auth::Scopes,
    media_types,
    request::{Ask, refused},
};

impl Registry {
    /// Pushes an artifact's manifest, whose `subject` says what it is about and whose blobs are there. Where the registry keeps
    /// no list, two that attach to one image at the same moment can lose one entry; the artifact itself stays.
    pub async fn attach(
        &self,
        at: &Repository,
        artifact: &Manifest,
    ) -> Result<Descriptor, RegistryError> {
        let bytes = bytes_of(artifact);
        let mut descriptor = Descriptor::of(media_types::MANIFEST, &bytes);
        let name = Image::by_digest(at, &descriptor.digest);
        let listed = self.put_one(&name, media_types::MANIFEST, bytes).await?;
        descriptor.artifact_type.clone_from(&artifact.artifact_type);
        descriptor.annotations.clone_from(&artifact.annotations);
        if let Some(subject) = artifact.subject.as_ref().filter(|_| !listed) {
            let mut index = self.tagged_list(at, &subject.digest).await?;
            if !index.manifests.contains(&descriptor) {
                index.manifests.push(descriptor.clone());
                let tag = tag_of(&subject.digest);
                self.put_manifest(at, media_types::INDEX, bytes_of(&index), &[&tag]).await?;
            }
        }
        Ok(descriptor)
    }

    /// All that refers to a manifest.
    pub async fn referrers(
        &self,
        at: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let what = format!("list what refers to {subject} in {at}");
        let ask = Ask {
            method: Method::GET,
            url: self.url(at, &format!("referrers/{subject}"))?,
            repository: at,
            scopes: Scopes::pull(at),
            what: what.clone(),
            headers: Vec::new(),
            body: None,
        };
        let response = self.send(ask).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(self.tagged_list(at, subject).await?.manifests);
        }
        if !response.status().is_success() {
            return Err(refused(response, &at.registry, &what).await);
        }
        let index: Index = response.json().await.map_err(|error| RegistryError::Protocol {
            registry: at.registry.clone(),
            why: format!("its list of referrers is no index: {error}"),
        })?;
        Ok(index.manifests)
    }

    async fn tagged_list(&self, at: &Repository, subject: &Digest) -> Result<Index, RegistryError> {
        match self.manifest(&Image::by_tag(at, &tag_of(subject))).await {
            Ok(fetched) => fetched.read(at),
            Err(RegistryError::NotFound { .. }) => Ok(Index::new(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

fn tag_of(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

fn bytes_of<T: serde::Serialize>(document: &T) -> Bytes {
    serde_json::to_vec(document).expect("documents have string keys alone").into()
}
