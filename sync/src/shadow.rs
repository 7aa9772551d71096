//! Shadow copies: what a studio has and its zone lacks, kept on the server while the studio runs, for the day when it ends
//! without its files. The zone is not touched.
//!
//! ```text
//! index          what the studio has changed, and what it had agreed with the zone before; replaced in one step
//! <digest>       a content, once
//! ```
//! A content is what its name says or it is not used: nothing here waits for the disk, since a copy is for the loss of a studio
//! while the server lives on.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use prost::Message as _;
use proto::sync::v1 as pb;

use crate::{
    RelPath,
    content::ContentHasher,
    entry::{Digest, Entry},
    fs::{FileSystem, Root, is_absent, names, open_in},
    wire,
};

const INDEX: &[u8] = b"index";
const NEW_INDEX: &[u8] = b"index.new";
const NEW_CONTENT: &[u8] = b"content.new";
/// Of an index that is read back.
const LARGEST_INDEX: u64 = 256 << 20;

/// What a run is asked to keep.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Absolute; this mount's and this incarnation's own.
    pub folder: PathBuf,
    /// Of all contents together. What is beyond it is named in [`Outcome::skipped`](crate::Outcome::skipped).
    pub limit_bytes: u64,
}

/// A path that the studio had changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub path: RelPath,
    pub entry: Entry,
    /// What both sides had there before.
    pub base: Option<Entry>,
}

/// What is kept in a folder; nothing where there is none.
pub fn kept(folder: &Path) -> io::Result<Vec<Kept>> {
    let Some(store) = Store::existing(folder)? else { return Ok(Vec::new()) };
    let Some(file) = store.file(INDEX)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    file.take(LARGEST_INDEX).read_to_end(&mut bytes)?;
    let mut bytes = bytes.as_slice();
    let mut part = || -> io::Result<Vec<(RelPath, Entry)>> {
        let listing = pb::Listing::decode_length_delimited(&mut bytes).map_err(io::Error::other)?;
        let entries = listing.entries.iter().map(wire::entry);
        entries.collect::<Result<_, _>>().map_err(io::Error::other)
    };
    let (now, before) = (part()?, part()?);
    let before: std::collections::BTreeMap<RelPath, Entry> = before.into_iter().collect();
    let kept = now.into_iter().map(|(path, entry)| {
        let base = before.get(&path).cloned();
        Kept { path, entry, base }
    });
    Ok(kept.collect())
}

/// A content that is kept, if it is there and is what it should be.
pub fn content(folder: &Path, digest: Digest) -> io::Result<Option<File>> {
    let Some(store) = Store::existing(folder)? else { return Ok(None) };
    let Some(mut file) = store.file(digest.to_string().as_bytes())? else { return Ok(None) };
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    if hasher.finish() != digest {
        return Ok(None);
    }
    io::Seek::rewind(&mut file)?;
    Ok(Some(file))
}

/// The folder.
pub(crate) struct Store {
    folder: OwnedFd,
}

impl Store {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: Root::open(folder)?.folder(None)? })
    }

    fn existing(folder: &Path) -> io::Result<Option<Self>> {
        match Root::open(folder).and_then(|root| root.folder(None)) {
            Ok(folder) => Ok(Some(Self { folder })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn file(&self, name: &[u8]) -> io::Result<Option<File>> {
        match open_in(self.folder.as_fd(), name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Contents that are there.
    pub(crate) fn names(&self) -> io::Result<BTreeSet<Vec<u8>>> {
        Ok(names(self.folder.as_fd())?.into_iter().collect())
    }

    /// A content that lies in another folder.
    pub(crate) fn adopt(
        &self,
        fs: &dyn FileSystem,
        from: BorrowedFd<'_>,
        name: &[u8],
        digest: Digest,
    ) -> io::Result<()> {
        match fs.rename_new(from, name, self.folder.as_fd(), digest.to_string().as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs.remove_file(from, name)
            }
            other => other,
        }
    }

    /// A content at hand. It has its name only when it is whole: what has a name is not asked for again.
    pub(crate) fn keep(&self, fs: &dyn FileSystem, content: &[u8]) -> io::Result<()> {
        self.write(fs, NEW_CONTENT, content)?;
        self.adopt(fs, self.folder.as_fd(), NEW_CONTENT, Digest::of(content))
    }

    /// In place of what an interrupted run left.
    fn write(&self, fs: &dyn FileSystem, name: &[u8], content: &[u8]) -> io::Result<()> {
        match fs.remove_file(self.folder.as_fd(), name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = fs.create(self.folder.as_fd(), name, false)?;
        fs.write(&file, content, 0)
    }

    /// Says what there is from now on, and lets go of what is not of it.
    pub(crate) fn index(&self, fs: &dyn FileSystem, kept: &[Kept]) -> io::Result<()> {
        let listing = |entries: Vec<pb::Entry>| pb::Listing { entries, ..pb::Listing::default() };
        let now = kept.iter().map(|kept| wire::proto_entry(&kept.path, &kept.entry, -1)).collect();
        let before = kept.iter().filter_map(|kept| {
            kept.base.as_ref().map(|base| wire::proto_entry(&kept.path, base, -1))
        });
        let mut bytes = listing(now).encode_length_delimited_to_vec();
        bytes.extend(listing(before.collect()).encode_length_delimited_to_vec());
        let folder = self.folder.as_fd();
        let there = self.names()?;
        self.write(fs, NEW_INDEX, &bytes)?;
        if there.contains(INDEX) {
            fs.exchange(folder, NEW_INDEX, folder, INDEX)?;
            fs.remove_file(folder, NEW_INDEX)?;
        } else {
            fs.rename_new(folder, NEW_INDEX, folder, INDEX)?;
        }
        let digests = kept.iter().filter_map(|kept| kept.entry.digest());
        let used: BTreeSet<Vec<u8>> = digests.map(|it| it.to_string().into_bytes()).collect();
        for name in there.difference(&used).filter(|name| *name != INDEX && *name != NEW_INDEX) {
            fs.remove_file(folder, name)?;
        }
        Ok(())
    }
}
