//! From a zone's folder to a git tree: contents as they are, no filters, no index.
//!
//! Hashes are remembered by (inode, size, times) as long as the program runs, so that a commit reads only what has changed.
//! Not in the history: empty folders, nested `.git`, sockets and the like, and the synchronisation engine's own folder.

use std::{collections::HashMap, io};

use gix::{
    ObjectId, Repository,
    objs::{
        Kind, Tree, Write as _,
        tree::{Entry, EntryKind},
    },
};
use rustix::fs::Stat;

use super::dir::{self, Folder};
use crate::{
    domain::{session::FileKind, zone_files::ZonePath},
    zones::ZoneError,
};

/// Files of this size and more are committed with a warning.
const LARGE: u64 = 10 << 20;
/// A file that was changed so shortly before it was hashed may have changed again within the same stamp.
const RACY_S: i64 = 2;
/// Remembered hashes of one zone.
const REMEMBERED: usize = 200_000;
/// Times that a file is read anew because it changed meanwhile.
const ATTEMPTS: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    inode: u64,
    size: i64,
    mtime: (i64, u64),
    ctime: (i64, u64),
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size,
            mtime: (stat.st_mtime, stat.st_mtime_nsec),
            ctime: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// Hashes of one zone's files.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashMap<Stamp, ObjectId>);

pub(super) struct Snapshot<'a> {
    repo: &'a Repository,
    remembered: &'a mut Remembered,
    now_s: i64,
    /// Objects that this snapshot has written.
    pub written: Vec<ObjectId>,
    pub warnings: Vec<String>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(repo: &'a Repository, remembered: &'a mut Remembered, now_s: i64) -> Self {
        if remembered.0.len() > REMEMBERED {
            remembered.0.clear();
        }
        Self { repo, remembered, now_s, written: Vec::new(), warnings: Vec::new() }
    }

    /// The tree of the whole folder.
    pub(super) fn take(&mut self, root: &Folder) -> Result<ObjectId, ZoneError> {
        match self.folder(root, &ZonePath::default())? {
            Some(tree) => Ok(tree),
            None => self.write(&Tree::empty()),
        }
    }

    fn folder(&mut self, folder: &Folder, path: &ZonePath) -> Result<Option<ObjectId>, ZoneError> {
        let failed = |source| ZoneError::Io { what: format!("{path} can't be read"), source };
        let mut entries = Vec::new();
        for (part, stat) in folder.entries().map_err(failed)? {
            if part.eq_ignore_ascii_case(b".git")
                || (path.is_root() && part.starts_with(b".atelier-"))
            {
                continue;
            }
            let here = path.join(&part);
            let (kind, oid) = match dir::kind(stat.st_mode) {
                FileKind::Folder => {
                    let below = ZonePath::default().join(&part);
                    let inside = match folder.at(&below) {
                        Ok(inside) => inside,
                        Err(error) if vanished(&error) => continue,
                        Err(source) => return Err(failed(source)),
                    };
                    match self.folder(&inside, &here)? {
                        Some(tree) => (EntryKind::Tree, tree),
                        None => continue,
                    }
                }
                FileKind::File => match self.file(folder, &part, &here, stat)? {
                    Some(file) => file,
                    None => continue,
                },
                FileKind::Symlink => match folder.link_target(&part) {
                    Ok(target) => (EntryKind::Link, self.blob(&target)?),
                    Err(error) if vanished(&error) => continue,
                    Err(source) => return Err(failed(source)),
                },
                FileKind::Other => continue,
            };
            entries.push(Entry { mode: kind.into(), filename: part.into(), oid });
        }
        if entries.is_empty() {
            return Ok(None);
        }
        // Git's order: folders count as if their names ended in a slash.
        entries.sort_unstable();
        self.write(&Tree { entries }).map(Some)
    }

    fn file(
        &mut self,
        folder: &Folder,
        part: &[u8],
        path: &ZonePath,
        mut stat: Stat,
    ) -> Result<Option<(EntryKind, ObjectId)>, ZoneError> {
        let failed = |source| ZoneError::Io { what: format!("{path} can't be read"), source };
        for _ in 0..ATTEMPTS {
            let stamp = Stamp::of(&stat);
            let kind = if dir::executable(stat.st_mode) {
                EntryKind::BlobExecutable
            } else {
                EntryKind::Blob
            };
            if let Some(oid) = self.remembered.0.get(&stamp) {
                return Ok(Some((kind, *oid)));
            }
            let mut file = match folder.read(part) {
                Ok(file) => file,
                Err(error) if vanished(&error) => return Ok(None),
                Err(source) => return Err(failed(source)),
            };
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            let hashed = self.repo.objects.write_stream(Kind::Blob, size, &mut file);
            let after = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
            if Stamp::of(&after) != stamp {
                // It changed while it was read: what was hashed may never have been its content.
                stat = after;
                continue;
            }
            let oid = hashed.map_err(|source| ZoneError::History {
                what: "written",
                source: Box::new(source),
            })?;
            self.written.push(oid);
            if stamp.mtime.0.max(stamp.ctime.0) + RACY_S < self.now_s {
                self.remembered.0.insert(stamp, oid);
            }
            if size >= LARGE {
                let mib = size >> 20;
                self.warnings
                    .push(format!("{path} has {mib} MiB: the history keeps every version of it"));
            }
            return Ok(Some((kind, oid)));
        }
        Err(ZoneError::Changed { path: path.to_string() })
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<ObjectId, ZoneError> {
        let oid =
            self.repo.objects.write_buf(Kind::Blob, bytes).map_err(|source| {
                ZoneError::History { what: "written", source: Box::new(source) }
            })?;
        self.written.push(oid);
        Ok(oid)
    }

    fn write(&mut self, tree: &Tree) -> Result<ObjectId, ZoneError> {
        let oid = self
            .repo
            .objects
            .write(tree)
            .map_err(|source| ZoneError::History { what: "written", source: Box::new(source) })?;
        self.written.push(oid);
        Ok(oid)
    }
}

/// It went away between the listing and the look.
fn vanished(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound)
}
