//! Whether a folder of the trash is just what is wanted.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use crate::{
    RelPath,
    entry::{Digest, Entry},
    error::Error,
    fs::{Found, Root, What, look_in, names, open_in, read_link_in},
    index::{Hashed, Known, hash},
    path::Joined,
    side::Side,
    threads,
    trash::Note,
};

/// A folder, with everything that should be in it.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// The folder itself is among them.
    folders: Vec<&'a RelPath>,
    /// With the time of modification, where there is one.
    files: BTreeMap<&'a [u8], (&'a Entry, i64)>,
    links: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn folder(&mut self, path: &'a RelPath) {
        self.folders.push(path);
    }

    pub(crate) fn file(&mut self, path: &'a RelPath, entry: &'a Entry, modified_ms: i64) {
        self.files.insert(path.as_bytes(), (entry, modified_ms));
    }

    pub(crate) fn link(&mut self, path: &'a RelPath, target: &'a [u8]) {
        self.links.insert(path.as_bytes(), target);
    }

    /// Whether a note about a folder that was at this path tells of the same contents. What lies there by now is another question.
    pub(crate) fn is_noted(&self, path: &RelPath, note: &Note) -> bool {
        let mut joined = Joined::new(Some(path));
        note.within.len() == self.files.len()
            && note.contents().all(|noted| {
                noted.is_some_and(|(within, digest)| {
                    let wanted = self.files.get(joined.with(&within));
                    wanted.and_then(|(entry, _)| entry.digest()) == Some(digest)
                })
            })
    }

    fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }
}

/// What is in an open folder, which is to come to `path`, if it is all that is wanted and nothing else; files get their times.
pub(crate) fn prove(
    side: &Side,
    folder: OwnedFd,
    path: &RelPath,
    wanted: &Wanted<'_>,
) -> Result<Option<Vec<(RelPath, Known)>>, Error> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let tree = Root::of(folder);
    let run = wanted.folders.len().div_ceil(threads::count()).max(1);
    let look = |folders: &[&RelPath]| -> Result<Option<Vec<(RelPath, Known)>>, Error> {
        let mut prover = Prover { side, tree: &tree, path, wanted, known: Vec::new() };
        for folder in folders {
            side.context.cancel.check()?;
            if !prover.look(folder)? {
                return Ok(None);
            }
        }
        Ok(Some(prover.known))
    };
    let mut known = Vec::new();
    for part in threads::each(wanted.folders.chunks(run).collect(), look) {
        match part? {
            Some(part) => known.extend(part),
            None => return Ok(None),
        }
    }
    // Nothing that is not wanted is known: so nothing is missing.
    let all = wanted.folders.len() + wanted.files.len() + wanted.links.len();
    Ok((known.len() == all).then_some(known))
}

struct Prover<'a> {
    side: &'a Side,
    tree: &'a Root,
    path: &'a RelPath,
    wanted: &'a Wanted<'a>,
    known: Vec<(RelPath, Known)>,
}

impl Prover<'_> {
    /// One folder, and what is directly in it but for folders.
    fn look(&mut self, folder: &RelPath) -> Result<bool, Error> {
        // What can't be looked at is nothing that could be taken.
        let Ok((fd, found)) = self.open(folder) else { return Ok(false) };
        let stamp = found.stamp.of_folder();
        self.known.push((folder.clone(), Known { entry: Entry::Folder, stamp, racy: false }));
        let Ok(names) = names(fd.as_fd()) else { return Ok(false) };
        let mut joined = Joined::new(Some(folder));
        for name in &names {
            let path = joined.with(name);
            let known = if let Some((entry, modified_ms)) = self.wanted.files.get(path) {
                self.file(fd.as_fd(), name, entry, *modified_ms)?
            } else if let Some(target) = self.wanted.links.get(path) {
                link(fd.as_fd(), name, target)
            } else if self.wanted.folders.binary_search_by(|it| it.as_bytes().cmp(path)).is_ok() {
                continue;
            } else {
                None
            };
            let Some(known) = known else { return Ok(false) };
            self.known.push((RelPath::joined(path), known));
        }
        Ok(true)
    }

    fn open(&self, folder: &RelPath) -> io::Result<(OwnedFd, Found)> {
        let below = folder.as_bytes().get(self.path.as_bytes().len() + 1..);
        let within = below.map(RelPath::try_from).transpose().map_err(io::Error::other)?;
        let fd = self.tree.folder(within.as_ref())?;
        let found = Found::of_file(&fd)?;
        Ok((fd, found))
    }

    fn file(
        &self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        wanted: &Entry,
        modified_ms: i64,
    ) -> Result<Option<Known>, Error> {
        let Entry::File { size, digest, executable } = wanted else { return Ok(None) };
        let Ok(file) = open_in(folder, name) else { return Ok(None) };
        let Ok(Found { what: What::File, mut stamp, .. }) = Found::of_file(&file) else {
            return Ok(None);
        };
        if (stamp.size, stamp.executable) != (*size, *executable)
            || !self.is_content(&file, stamp, *digest)?
        {
            return Ok(None);
        }
        if let Ok(modified) = u64::try_from(modified_ms)
            && stamp.modified_ms() != modified_ms
        {
            let set = self.side.fs().set_modified(&file, Duration::from_millis(modified));
            let Ok(found) = set.and_then(|()| Found::of_file(&file)) else { return Ok(None) };
            stamp = found.stamp;
        }
        Ok(Some(Known { entry: wanted.clone(), stamp, racy: true }))
    }

    fn is_content(
        &self,
        file: &File,
        stamp: crate::fs::Stamp,
        digest: Digest,
    ) -> Result<bool, Error> {
        match hash(file, stamp, &self.side.context.cancel) {
            Ok(Hashed::Stable(found, now, _)) => Ok((found, now) == (digest, stamp)),
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Ok(Hashed::Busy) | Err(_) => Ok(false),
        }
    }
}

fn link(folder: BorrowedFd<'_>, name: &[u8], wanted: &[u8]) -> Option<Known> {
    let found = look_in(folder, name).ok()??;
    let target = read_link_in(folder, name).ok().filter(|target| **target == *wanted)?;
    Some(Known { entry: Entry::Link { target }, stamp: found.stamp, racy: true })
}
