//! Files that are read and sent in one piece.

use std::{fs::File, io};

use rustix::{
    buffer::spare_capacity,
    io::{Errno, pread},
};

use crate::{
    RelPath,
    entry::{Digest, Entry},
    fs::{Found, Root, Stamp},
    index::Scanned,
};

/// Below this a file is read ahead, sent and written in one piece: it is one step's data, and has no block list.
pub(crate) const SMALL_BYTES: u64 = 64 << 10;

/// A whole file as one moment had it.
pub(crate) struct Small {
    pub content: Vec<u8>,
    pub entry: Entry,
    pub stamp: Stamp,
}

/// Reads a small file that a scan saw. `None`: it is not so simple (gone, grown, changing): the long way says what is the matter.
///
/// Its content is that which was hashed then, since its stamp still is the same; the receiver hashes it in any case. What was not
/// read then is hashed here.
pub(crate) fn read_small(root: &Root, path: &RelPath, seen: &Scanned) -> Option<Small> {
    let size = seen.entry.size();
    if size >= SMALL_BYTES || !seen.entry.is_file() {
        return None;
    }
    let file = root.file(path).ok()?;
    let content = read(&file, size).ok()?;
    let now = Found::of_file(&file).ok()?;
    if now != seen.found || content.len() as u64 != size {
        return None;
    }
    let entry = match seen.entry {
        Entry::File { digest: Digest::UNREAD, size, executable } => {
            Entry::File { size, digest: Digest::of(&content), executable }
        }
        _ => seen.entry.clone(),
    };
    Some(Small { content, entry, stamp: now.stamp })
}

/// Reads a small file which should have a content. `None`: it has not, or is not so simple.
pub(crate) fn read_copy(file: &File, wanted: &Entry) -> Option<Vec<u8>> {
    let size = wanted.size();
    if size >= SMALL_BYTES || file.metadata().ok()?.len() != size {
        return None;
    }
    let content = read(file, size).ok()?;
    (wanted.digest() == Some(Digest::of(&content))).then_some(content)
}

/// Reads a file of less than so many bytes.
pub(crate) fn read_whole(file: &File, limit: u64) -> Option<Vec<u8>> {
    let size = file.metadata().ok()?.len();
    if size >= limit { None } else { read(file, size).ok() }
}

fn read(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(io::Error::other)?;
    let mut content = Vec::new();
    content.reserve_exact(size);
    while content.len() < size {
        let at = content.len() as u64;
        match pread(file, spare_capacity(&mut content), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(content)
}
