//! A folder of this machine as a layer's entries.

use std::{
    collections::HashMap,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use walkdir::WalkDir;

use super::{
    LayerError,
    entry::{Content, Entry, Kind, Owner},
};

/// Whose a folder's entries become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Root's, and what the owner may, the group may too.
    Root,
    /// Those that they have.
    Kept,
}

/// Everything below `folder`, to be at `at` in the image (empty: its root). Sockets and pipes, which a running program may have left, are no part
/// of an image and are left out; device files are refused.
pub fn of_folder(folder: &Path, at: &str, owners: Owners) -> Result<Vec<Entry>, LayerError> {
    let mut entries = Vec::new();
    let mut names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    let walk = WalkDir::new(folder).sort_by_file_name().follow_links(false);
    for found in walk {
        let found = found.map_err(|error| LayerError::Read {
            path: error.path().unwrap_or(folder).display().to_string(),
            source: error.into(),
        })?;
        let shown = found.path().display().to_string();
        let unreadable = |source| LayerError::Read { path: shown.clone(), source };
        let relative = found.path().strip_prefix(folder).unwrap_or(found.path());
        let mut path = at.as_bytes().to_vec();
        if !relative.as_os_str().is_empty() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(relative.as_os_str().as_bytes());
        }
        let metadata = found.metadata().map_err(|error| unreadable(error.into()))?;
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_symlink() {
            let target = fs::read_link(found.path()).map_err(unreadable)?;
            Kind::Symlink(target.as_os_str().as_bytes().to_vec())
        } else if metadata.is_file() {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = names.get(&identity).filter(|_| metadata.nlink() > 1) {
                Kind::HardLink(first.clone())
            } else {
                names.insert(identity, path.clone());
                Kind::File {
                    content: Content::File(found.path().to_owned(), metadata.len()),
                    executable: metadata.permissions().mode() & 0o100 != 0,
                }
            }
        } else if metadata.file_type().is_fifo() || metadata.file_type().is_socket() {
            tracing::info!(path = shown, "a pipe or socket is left out of a layer");
            continue;
        } else {
            return Err(LayerError::Path { path: shown, why: "it is a device" });
        };
        // The image's root itself has no name.
        if path.is_empty() {
            continue;
        }
        let owner = (owners == Owners::Kept).then(|| Owner {
            user: metadata.uid().into(),
            group: metadata.gid().into(),
            mode: metadata.mode() & 0o7777,
        });
        entries.push(Entry { path, kind, owner });
    }
    Ok(entries)
}
