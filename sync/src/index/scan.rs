//! Looking at everything below a root.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
};

use super::{
    Known, RESERVED,
    hash::{Hashed, hash},
    is_racy,
};
use crate::{
    RelPath,
    context::CancelFlag,
    entry::Entry,
    error::Error,
    exclusions::Exclusions,
    fs::{Found, Root, Stamp, What, is_absent, look_in},
    state::IndexReader,
};

/// Folders within folders that are looked at.
const DEEPEST: usize = 512;

/// An entry that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub entry: Entry,
    pub found: Found,
}

impl Scanned {
    pub(crate) const fn stamp(&self) -> &Stamp {
        &self.found.stamp
    }
}

/// Why something is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// For people.
    pub reason: String,
    /// It is of a kind that is never synchronised.
    pub special: bool,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub entries: BTreeMap<RelPath, Scanned>,
    /// Neither these nor what is below them can be told; with the reason for people.
    pub unknown: BTreeMap<RelPath, Unknown>,
    /// What the index has to learn.
    pub learned: Vec<(RelPath, Option<Known>)>,
}

struct Scanner<'a> {
    root: &'a Root,
    index: &'a IndexReader,
    exclusions: &'a Exclusions,
    /// The file system's clock when the scan began.
    now_ns: i64,
    cancel: &'a CancelFlag,
    /// Folders that are to be looked into.
    waiting: Vec<RelPath>,
    seen: Scan,
}

/// Looks at everything; only the root itself must be readable.
pub(crate) fn scan(
    root: &Root,
    index: &IndexReader,
    exclusions: &Exclusions,
    now_ns: i64,
    cancel: &CancelFlag,
) -> Result<Scan, Error> {
    let mut scanner = Scanner {
        root,
        index,
        exclusions,
        now_ns,
        cancel,
        waiting: Vec::new(),
        seen: Scan::default(),
    };
    scanner.folder(None).map_err(Error::io("read the folder that is synchronised"))??;
    while let Some(folder) = scanner.waiting.pop() {
        cancel.check()?;
        if folder.ancestors().count() >= DEEPEST {
            scanner.unknown(folder, format!("it is more than {DEEPEST} folders deep"));
            continue;
        }
        match scanner.folder(Some(&folder)) {
            Ok(done) => done?,
            // Gone since it was listed.
            Err(error) if is_absent(&error) => {
                scanner.seen.entries.remove(&folder);
            }
            Err(error) => {
                scanner.unknown(folder, format!("the folder can't be read: {error}"));
            }
        }
    }
    scanner.forget_gone()?;
    Ok(scanner.seen)
}

impl Scanner<'_> {
    /// Looks at what is in one folder. The outer error is the folder's own.
    fn folder(&mut self, folder: Option<&RelPath>) -> io::Result<Result<(), Error>> {
        let (fd, names) = self.root.list(folder)?;
        for name in names {
            if folder.is_none() && name == RESERVED {
                continue;
            }
            let path = match RelPath::in_folder(folder, &name) {
                Ok(path) => path,
                Err(error) => {
                    // It can't be named to the other side: the folder it is in is not complete.
                    if let Some(folder) = folder {
                        let reason = format!("{}: {error}", String::from_utf8_lossy(&name));
                        self.unknown(folder.clone(), reason);
                    }
                    continue;
                }
            };
            match look_in(fd.as_fd(), &name) {
                Ok(Some(found)) => {
                    if let Err(error) = self.found(path, found) {
                        return Ok(Err(error));
                    }
                }
                Ok(None) => {}
                Err(error) => self.unknown(path, format!("it can't be looked at: {error}")),
            }
        }
        Ok(Ok(()))
    }

    fn found(&mut self, path: RelPath, found: Found) -> Result<(), Error> {
        self.cancel.check()?;
        if self.exclusions.matches(&path, found.what == What::Folder) {
            return Ok(());
        }
        let known = self.index.get(&path)?;
        let trusted = known.as_ref().filter(|known| known.stamp == found.stamp && !known.racy);
        let (entry, found) = match found.what {
            What::Folder => {
                self.waiting.push(path.clone());
                (Entry::Folder, found)
            }
            What::Special(special) => {
                let reason = format!("{} is not synchronised", special.name());
                self.seen.unknown.insert(path, Unknown { reason, special: true });
                return Ok(());
            }
            What::Link => match self.root.link(&path) {
                Ok(target) => (Entry::Link { target }, found),
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) => {
                    self.unknown(path, format!("the link can't be read: {error}"));
                    return Ok(());
                }
            },
            What::File => match trusted.map(|known| &known.entry) {
                Some(entry @ Entry::File { .. }) => (entry.clone(), found),
                _ => match self.read(&path)? {
                    Some(read) => read,
                    None => return Ok(()),
                },
            },
        };
        if found.what == What::File {
            let fresh = Known {
                entry: entry.clone(),
                stamp: found.stamp,
                racy: is_racy(&found.stamp, self.now_ns),
            };
            if known.as_ref() != Some(&fresh) {
                self.seen.learned.push((path.clone(), Some(fresh)));
            }
        }
        self.seen.entries.insert(path, Scanned { entry, found });
        Ok(())
    }

    /// Hashes a file; `None` when it is gone or unknown.
    fn read(&mut self, path: &RelPath) -> Result<Option<(Entry, Found)>, Error> {
        let file = match self.root.file(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => {
                self.unknown(path.clone(), format!("the file can't be opened: {error}"));
                return Ok(None);
            }
        };
        match hash(&file, self.cancel) {
            Ok(Hashed::Stable(digest, stamp)) => {
                let entry = Entry::File { size: stamp.size, digest, executable: stamp.executable };
                Ok(Some((entry, Found { what: What::File, stamp })))
            }
            Ok(Hashed::Busy) => {
                self.unknown(path.clone(), "it changed while it was read".to_owned());
                Ok(None)
            }
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => {
                self.unknown(path.clone(), error.chain());
                Ok(None)
            }
        }
    }

    fn unknown(&mut self, path: RelPath, reason: String) {
        self.seen.unknown.insert(path, Unknown { reason, special: false });
    }

    /// The index forgets what is no more there; not what could not be looked at.
    fn forget_gone(&mut self) -> Result<(), Error> {
        let unknown: BTreeSet<&RelPath> = self.seen.unknown.keys().collect();
        let mut gone = Vec::new();
        for path in self.index.paths()? {
            let there = self.seen.entries.contains_key(&path)
                || unknown.contains(&path)
                || (!unknown.is_empty()
                    && path.ancestors().any(|folder| unknown.contains(&folder)));
            if !there {
                gone.push((path, None));
            }
        }
        self.seen.learned.extend(gone);
        Ok(())
    }
}
