//! What a layer consists of.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::LayerError;

/// One name in a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// From the image's root, without a leading slash. Bytes, as file systems have them.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// `None`: root's, with the permissions that its kind has.
    pub owner: Option<Owner>,
}

/// Whose something is, and who may what: for base images, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub user: u64,
    pub group: u64,
    /// Permissions with the set-user-id, set-group-id and sticky bits.
    pub mode: u32,
}

impl Entry {
    /// Root's.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Self {
        Self { path: path.into(), kind, owner: None }
    }
}

#[derive(Debug, Clone)]
pub enum Kind {
    Folder,
    File {
        content: Content,
        executable: bool,
    },
    /// Where it leads; of no concern to us.
    Symlink(Vec<u8>),
    /// Another name of a file of the same layer, which comes before it.
    HardLink(Vec<u8>),
}

/// A file's bytes.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Arc<[u8]>),
    /// A file of this machine and its length.
    File(PathBuf, u64),
}

/// By path, folders before what is in them; folders that were not named are added from the second level on: those of the
/// first (`/opt`, `/usr`) are the base's, with its permissions. Of two entries with one path the later wins.
pub(super) fn in_order(entries: Vec<Entry>) -> Result<Vec<Entry>, LayerError> {
    let mut sorted = BTreeMap::new();
    for entry in entries {
        check(&entry.path)?;
        let depth = entry.path.iter().enumerate().filter(|(_, byte)| **byte == b'/').skip(1);
        for (end, _) in depth {
            let folder = &entry.path[..end];
            sorted.entry(key(folder)).or_insert_with(|| Entry::new(folder, Kind::Folder));
        }
        sorted.insert(key(&entry.path), entry);
    }
    Ok(sorted.into_values().collect())
}

/// Compared by parts, so that `a/b` comes before `a-b`.
fn key(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

fn check(path: &[u8]) -> Result<(), LayerError> {
    let wrong = |why| LayerError::Path { path: String::from_utf8_lossy(path).into_owned(), why };
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" => return Err(wrong("a part of it is empty")),
            b"." | b".." => return Err(wrong("it has dot segments")),
            part if part.starts_with(b".wh.") => {
                return Err(wrong("to image layers its name means a deletion"));
            }
            part if part.contains(&0) => return Err(wrong("there is a NUL in it")),
            _ => (),
        }
    }
    Ok(())
}
