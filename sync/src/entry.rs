//! What lies at a path.

use std::{collections::BTreeMap, fmt};

use crate::{RelPath, content::ContentHasher};

/// BLAKE3 of a content; one with long stretches of zeros has another (see `content.rs`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of a content that nobody has read yet: it is found out when it is sent, and neither compared nor recorded before.
    pub(crate) const UNREAD: Self = Self([0; 32]);

    pub fn of(content: &[u8]) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.update(content);
        hasher.finish()
    }

    /// As it is displayed.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.12}", blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

/// What both sides compare and agree on. Owners, times and other permission bits are each side's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    Folder,
    File {
        size: u64,
        digest: Digest,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link: its text, which is never followed.
    Link {
        target: Box<[u8]>,
    },
}

impl Entry {
    pub const fn is_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }

    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// `None`: it has no content, or nobody has read it yet.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::File { digest, .. } => Some(*digest).filter(|digest| *digest != Digest::UNREAD),
            Self::Folder | Self::Link { .. } => None,
        }
    }

    /// Whether its content is still to be found out.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self, Self::File { digest: Digest::UNREAD, .. })
    }

    pub const fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Folder | Self::Link { .. } => 0,
        }
    }

    /// Equal but for the executable bit.
    pub fn same_content(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::File { size, digest, .. },
                Self::File { size: other_size, digest: other_digest, .. },
            ) => size == other_size && digest == other_digest,
            _ => self == other,
        }
    }

    /// The same content with another executable bit; what is no file stays as it is.
    #[must_use]
    pub fn with_executable(&self, executable: bool) -> Self {
        match self {
            Self::File { size, digest, .. } => {
                Self::File { size: *size, digest: *digest, executable }
            }
            Self::Folder | Self::Link { .. } => self.clone(),
        }
    }

    /// Everything of it, without ambiguity.
    pub(crate) fn feed(&self, hasher: &mut blake3::Hasher) {
        match self {
            Self::Folder => {
                hasher.update(b"d");
            }
            Self::File { size, digest, executable } => {
                hasher.update(if *executable { b"x" } else { b"f" });
                hasher.update(&size.to_le_bytes());
                hasher.update(&digest.0);
            }
            Self::Link { target } => {
                hasher.update(b"l");
                hasher.update(&(target.len() as u64).to_le_bytes());
                hasher.update(target);
            }
        }
    }
}

/// Entries of a side or of the agreed state, folders before what is in them.
pub type Tree = BTreeMap<RelPath, Entry>;
