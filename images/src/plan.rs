//! What an image is made of: a pure, deterministic list of nodes, each with a key over everything that goes into it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// SHA-256 over a node's parent key, work, context, arguments and platform, in hexadecimal. Equal keys, equal result: a node
/// whose key is known is neither run nor pulled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeKey(pub String);

/// All that makes an image, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildPlan {
    /// What the first node stands on: a base image's reference, or the machine itself.
    pub base: String,
    pub platform: String,
    pub nodes: Vec<Node>,
    pub config: ImageConfig,
    /// Over all nodes and the config.
    pub digest: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    pub key: NodeKey,
    /// The node it stands on; `None`: the base. An independent node stands on the base whatever comes before it.
    pub parent: Option<NodeKey>,
    /// For people and logs, such as `jupyterlab`.
    pub name: String,
    /// Place in the template's list of blocks.
    pub block: usize,
    pub block_type: String,
    /// Owns `$PREFIX` alone and uses no system package manager: built once per base and merged.
    pub independent: bool,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Run(Run),
    /// Files put in place, without running anything.
    Files(Vec<FileEntry>),
}

/// Something that is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    pub fragment: Fragment,
    /// Files that it sees in its context folder, by relative path.
    pub context: BTreeMap<String, FileContent>,
    /// Digest over `context`.
    pub context_digest: String,
    pub as_root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fragment {
    /// A POSIX shell script that installs below `$PREFIX` (`<studio prefix>/<folder>`) and reads its context in `$CONTEXT`. Runs
    /// the same in an image and on a plain machine.
    Script { folder: String, text: String, env: BTreeMap<String, String> },
    /// Dockerfile statements, without `FROM`. Needs an image builder.
    Dockerfile(String),
}

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Relative to the studio prefix; no `..`.
    pub path: String,
    pub content: FileContent,
    pub executable: bool,
}

/// Bytes of a file; shown by digest only.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent(pub Arc<[u8]>);

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileContent({} bytes)", self.0.len())
    }
}

impl Serialize for FileContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use sha2::Digest as _;
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&self.0)))
    }
}

/// What a container of the image is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImageConfig {
    pub env: BTreeMap<String, String>,
    /// Folders below the studio prefix that are prepended to PATH, first wins.
    pub path: Vec<String>,
    pub exposed_ports: Vec<u16>,
    pub labels: BTreeMap<String, String>,
}
