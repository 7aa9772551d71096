//! What was made before, by key. A record is written after all that it names, so that what is recorded is whole.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use images::plan::{BuildPlan, ImageConfig};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::base::Base;
use crate::builder::{
    layer::{Layer, Packing},
    registry::Digest,
    scratch::Scratch,
};

/// Raised when the meaning of a record changes.
const SCHEMA: u32 = 1;
/// Larger layers are kept in the registry alone.
const KEPT_BYTES: u64 = 16 << 20;

/// What a node made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) layers: Vec<Layer>,
    /// The image's config after it, where it changed that.
    pub(super) config: Option<Value>,
    /// Images that were pushed only for it to be run, and that go when it goes.
    pub(super) pushed: Vec<String>,
}

/// A pushed image, with all that another one like it can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    /// With digest.
    pub(super) reference: String,
    pub(super) plan_digest: String,
    pub(super) base: String,
    pub(super) platform: String,
    /// Names and layers between the base's and the agent's.
    pub(super) layers: Vec<(String, Layer)>,
    pub(super) config: ImageConfigRecord,
    /// The config that statements of a Dockerfile left behind.
    pub(super) changed_config: Option<Value>,
    pub(super) agent: Option<Digest>,
}

/// [`ImageConfig`] in a form that can be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageConfigRecord {
    pub(super) env: std::collections::BTreeMap<String, String>,
    pub(super) path: Vec<String>,
    pub(super) exposed_ports: Vec<u16>,
    pub(super) labels: std::collections::BTreeMap<String, String>,
}

impl From<&ImageConfig> for ImageConfigRecord {
    fn from(config: &ImageConfig) -> Self {
        let ImageConfig { env, path, exposed_ports, labels } = config.clone();
        Self { env, path, exposed_ports, labels }
    }
}

pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Removes what a program that was killed left half made.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let scratch = root.join("tmp");
        if scratch.exists() {
            fs::remove_dir_all(&scratch)?;
        }
        for folder in ["nodes", "images", "built", "blobs", "tmp"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root: root.canonicalize()? })
    }

    pub(super) fn node(&self, key: &str) -> io::Result<Option<NodeRecord>> {
        read(&self.root.join("nodes").join(key))
    }

    pub(super) fn keep_node(&self, key: &str, record: &NodeRecord) -> io::Result<()> {
        self.keep("nodes", key, record)
    }

    /// The image that was built last out of what the key stands for.
    pub(super) fn image(&self, key: &str) -> io::Result<Option<ImageRecord>> {
        let name: Option<String> = read(&self.root.join("built").join(key))?;
        name.map_or(Ok(None), |name| read(&self.root.join("images").join(name)))
    }

    /// Remembers an image, and that it is what a key stands for. An earlier one of the same key stays known.
    pub(super) fn keep_image(&self, key: Option<&str>, record: &ImageRecord) -> io::Result<()> {
        let name = Digest::of(record.reference.as_bytes()).hex().to_owned();
        self.keep("images", &name, record)?;
        key.map_or(Ok(()), |key| self.keep("built", key, &name))
    }

    /// All of a kind, by key.
    pub(super) fn all<T: DeserializeOwned>(&self, kind: &str) -> io::Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(kind))? {
            let entry = entry?;
            if let Some(record) = read(&entry.path())? {
                found.push((entry.file_name().to_string_lossy().into_owned(), record));
            }
        }
        Ok(found)
    }

    pub(super) fn forget(&self, kind: &str, key: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(kind).join(key))
    }

    /// Digests of the layers that are here.
    pub(super) fn blobs(&self) -> io::Result<Vec<String>> {
        fs::read_dir(self.root.join("blobs"))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Where a layer is, or would be, on this machine.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blob_by_hex(digest.hex())
    }

    pub(super) fn blob_by_hex(&self, hex: &str) -> PathBuf {
        self.root.join("blobs").join(hex)
    }

    /// A new, empty folder that is removed when it is let go of.
    pub(super) fn scratch(&self) -> io::Result<Scratch> {
        Scratch::below(&self.root.join("tmp"))
    }

    /// From now on this file is the layer.
    pub(super) fn keep_blob(&self, file: &Path, layer: &Layer) -> io::Result<()> {
        fs::File::open(file)?.sync_all()?;
        fs::rename(file, self.blob(&layer.blob.digest))
    }

    /// Removes what the registry now has, and what is too large to have twice.
    pub(super) fn let_go_of_large(&self, image: &ImageRecord) -> io::Result<()> {
        for (_, layer) in image.layers.iter().filter(|(_, layer)| layer.blob.size > KEPT_BYTES) {
            remove(&self.blob(&layer.blob.digest))?;
        }
        Ok(())
    }

    fn keep<T: Serialize>(&self, kind: &str, key: &str, record: &T) -> io::Result<()> {
        let scratch = self.scratch()?;
        let fresh = scratch.0.join("record");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(fresh, self.root.join(kind).join(key))
    }
}

/// Key of an image: all that goes into it.
pub(super) fn image_key(
    plan: &BuildPlan,
    base: &Base,
    agent: Option<&Layer>,
    packing: Packing,
) -> String {
    let agent = agent.map(|layer| layer.blob.digest.as_str());
    key(&("image", &plan.digest, base.digest(), agent, packing_name(packing)))
}

/// A key over anything that can be written down.
pub(super) fn key<T: Serialize>(value: &T) -> String {
    let bytes = serde_json::to_vec(&(SCHEMA, value))
        .expect("keys are made of our own types, which have string keys");
    Digest::of(&bytes).hex().to_owned()
}

pub(super) fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Zstd => "zstd",
        Packing::Gzip => "gzip",
    }
}

/// `None`: there is none. One that can't be understood is of another program: what it stands for is made again.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a record of the builder can't be understood and is not used");
            Ok(None)
        }
    }
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
