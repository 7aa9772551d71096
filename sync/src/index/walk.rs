//! Everything below a root, one folder after the other, for whoever needs it once and not as a whole.
//!
//! Nothing of it is compared with what is remembered, and no file is read. What is met is what a look at everything (`scan.rs`) would
//! tell too, and what can't be told is unknown in the same words.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    vec,
};

use super::{RESERVED, Scanned, Unknown, visit::DEEPEST};
use crate::{
    RelPath,
    context::CancelFlag,
    entry::{Digest, Entry},
    error::Error,
    exclusions::Exclusions,
    fs::{Found, Root, What, is_absent, look_in, names, read_link_in},
    path::Joined,
    watch::Look,
};

/// What a walk meets; files are [`Digest::UNREAD`].
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Folders before what is in them.
    pub there: Vec<(RelPath, Scanned)>,
    /// Neither these nor what is below them can be told.
    pub unknown: Vec<(RelPath, Unknown)>,
    /// Of files.
    pub bytes: u64,
}

/// Goes through everything below a root.
pub(crate) struct Walk<'a> {
    root: &'a Root,
    exclusions: &'a Exclusions,
    cancel: &'a CancelFlag,
    /// Watches what is walked through.
    look: Option<&'a Look>,
    /// Folders that are left, the next one last; `None`: the root.
    left: Vec<Option<(RelPath, Found)>>,
    within: Option<Folder>,
}

/// A folder that is being gone through.
struct Folder {
    path: Option<RelPath>,
    fd: OwnedFd,
    names: vec::IntoIter<Vec<u8>>,
    /// Those in it: they come when all else in it was met.
    folders: Vec<(RelPath, Found)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        root: &'a Root,
        exclusions: &'a Exclusions,
        cancel: &'a CancelFlag,
        look: Option<&'a Look>,
    ) -> Self {
        Self { root, exclusions, cancel, look, left: vec![None], within: None }
    }

    /// Up to so many entries, or so many bytes and the file that goes beyond them. `None`: that was all.
    pub(crate) fn next(&mut self, entries: usize, bytes: u64) -> Result<Option<Met>, Error> {
        let mut met = Met::default();
        while met.there.len() < entries && met.bytes < bytes {
            self.cancel.check()?;
            if let Some(folder) = &mut self.within {
                match folder.names.next() {
                    Some(name) => self.name(&name, &mut met),
                    None => self.leave(),
                }
                continue;
            }
            match self.left.pop() {
                Some(None) => self.enter_root()?,
                Some(Some((path, found))) => self.enter(path, found, &mut met),
                None if met.there.is_empty() && met.unknown.is_empty() => return Ok(None),
                None => break,
            }
        }
        Ok(Some(met))
    }

    fn enter_root(&mut self) -> Result<(), Error> {
        let opened = self.open(None);
        self.within = Some(opened.map_err(Error::io("read the folder that is synchronised"))?);
        Ok(())
    }

    fn open(&self, path: Option<&RelPath>) -> io::Result<Folder> {
        let fd = self.root.folder(path)?;
        if let Some(look) = self.look {
            look.watch(path, fd.as_fd());
        }
        let names = names(fd.as_fd())?.into_iter();
        Ok(Folder { path: path.cloned(), fd, names, folders: Vec::new() })
    }

    fn enter(&mut self, path: RelPath, found: Found, met: &mut Met) {
        if path.ancestors().count() >= DEEPEST {
            return met.unknown(path, format!("it is more than {DEEPEST} folders deep"));
        }
        match self.open(Some(&path)) {
            Ok(folder) => {
                met.there.push((path, Scanned { entry: Entry::Folder, found }));
                self.within = Some(folder);
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => met.unknown(path, format!("the folder can't be read: {error}")),
        }
    }

    fn leave(&mut self) {
        if let Some(folder) = self.within.take() {
            self.left.extend(folder.folders.into_iter().rev().map(Some));
        }
    }

    fn name(&mut self, name: &[u8], met: &mut Met) {
        let Some(folder) = &mut self.within else { return };
        if folder.path.is_none() && name == RESERVED {
            return;
        }
        let mut joined = Joined::new(folder.path.as_ref());
        let bytes = joined.with(name);
        if let Err(error) = RelPath::check_length(bytes) {
            // It can't be named to the other side: the folder it is in is not complete.
            let reason = format!("{}: {error}", String::from_utf8_lossy(name));
            return folder.path.clone().map_or((), |folder| met.unknown(folder, reason));
        }
        let found = match look_in(folder.fd.as_fd(), name) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => {
                let reason = format!("it can't be looked at: {error}");
                return met.unknown(RelPath::joined(bytes), reason);
            }
        };
        if self.exclusions.matches_bytes(bytes, found.what == What::Folder) {
            return;
        }
        let path = RelPath::joined(bytes);
        let entry = match found.what {
            What::Folder => return folder.folders.push((path, found)),
            What::File => {
                let (size, executable) = (found.stamp.size, found.stamp.executable);
                met.bytes = met.bytes.saturating_add(size);
                Entry::File { size, digest: Digest::UNREAD, executable }
            }
            What::Link => match read_link_in(folder.fd.as_fd(), name) {
                Ok(target) => Entry::Link { target },
                Err(error) if is_absent(&error) => return,
                Err(error) => return met.unknown(path, format!("the link can't be read: {error}")),
            },
            What::Special(special) => {
                let reason = format!("{} is not synchronised", special.name());
                return met.unknown.push((path, Unknown { reason, special: true }));
            }
        };
        met.there.push((path, Scanned { entry, found }));
    }
}

impl Met {
    fn unknown(&mut self, path: RelPath, reason: String) {
        self.unknown.push((path, Unknown { reason, special: false }));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn everything_is_met_once_in_pieces_of_any_size_and_folders_before_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["a/b/c", "a-b", "empty", "left/out"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for path in ["a/b/c/one", "a/two", "a-b/three", "four", "left/out/five"] {
            fs::write(at(path), path).unwrap();
        }
        symlink("nowhere", at("a/link")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        let (exclusions, cancel) = (Exclusions::parse(["out/"]).unwrap(), CancelFlag::default());
        let all = [
            "a",
            "a/b",
            "a/b/c",
            "a/b/c/one",
            "a/link",
            "a/two",
            "a-b",
            "a-b/three",
            "empty",
            "four",
            "left",
        ];
        for (entries, bytes) in [(1, u64::MAX), (3, u64::MAX), (100, 1), (100, u64::MAX)] {
            let mut walk = Walk::new(&root, &exclusions, &cancel, None);
            let mut met = BTreeSet::new();
            while let Some(part) = walk.next(entries, bytes).unwrap() {
                assert!(part.there.len() <= entries && part.unknown.is_empty());
                for (path, _) in part.there {
                    assert!(path.parent().is_none_or(|folder| met.contains(&folder)), "{path}");
                    assert!(met.insert(path));
                }
            }
            assert_eq!(
                met.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
                all.map(str::to_owned).into()
            );
        }
    }
}
