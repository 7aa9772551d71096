//! Names of repositories and of images in them.

use std::{fmt, str::FromStr};

use oci_spec::distribution::Reference;

use super::{Digest, RegistryError};

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// Host, with the port where it is not the scheme's own.
    pub registry: String,
    /// Such as `atelier/studios`.
    pub name: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

impl FromStr for Repository {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        Ok(text.parse::<Image>()?.repository)
    }
}

/// An image's name: its repository, and a tag or a digest there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    pub repository: Repository,
    /// What the distribution API calls the reference: a digest where there is one, else a tag.
    pub reference: String,
}

impl Image {
    pub fn by_digest(repository: &Repository, digest: &Digest) -> Self {
        Self { repository: repository.clone(), reference: digest.as_str().to_owned() }
    }

    pub fn by_tag(repository: &Repository, tag: &str) -> Self {
        Self { repository: repository.clone(), reference: tag.to_owned() }
    }

    /// Where the name is one that can't come to mean something else.
    pub fn digest(&self) -> Option<Digest> {
        Digest::try_from(self.reference.clone()).ok()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digest().is_some() { '@' } else { ':' };
        write!(f, "{}{sign}{}", self.repository, self.reference)
    }
}

impl FromStr for Image {
    type Err = RegistryError;

    /// As people write them: `debian:12` is Docker Hub's, `registry:5000/a/b@sha256:…` is what it says.
    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let wrong = |why: String| RegistryError::Name { text: text.to_owned(), why };
        let parsed: Reference = text.parse().map_err(|error| wrong(format!("{error}")))?;
        let repository = Repository {
            registry: parsed.resolve_registry().to_owned(),
            name: parsed.repository().to_owned(),
        };
        let reference = match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => {
                let digest = Digest::try_from(digest.to_owned());
                digest.map_err(|error| wrong(error.to_string()))?.into()
            }
            (None, Some(tag)) => tag.to_owned(),
            (None, None) => "latest".to_owned(),
        };
        Ok(Self { repository, reference })
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn names_mean_what_people_mean() {
        let image: Image = "debian:12".parse().unwrap();
        assert_eq!(image.repository.name, "library/debian");
        assert!(image.repository.registry.ends_with("docker.io"), "{image}");
        let digest = format!("sha256:{}", "0".repeat(64));
        let text = format!("127.0.0.1:5000/atelier/base@{digest}");
        let image: Image = text.parse().unwrap();
        assert_eq!((image.reference.as_str(), image.to_string()), (digest.as_str(), text));
        let local: Image = "localhost:5000/a".parse().unwrap();
        assert_eq!(local.to_string(), "localhost:5000/a:latest");
        for wrong in ["", "host/UPPER", "a b", "host/../x", "x@sha256:abc"] {
            assert!(wrong.parse::<Image>().is_err(), "{wrong}");
        }
    }
}
