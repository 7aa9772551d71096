//! One thread of a scan.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::{
    Known, RESERVED,
    hash::{Hashed, hash},
    is_racy,
    moved::{Gone, New, Why, was_folder},
    queue::{Folder, Queue, Task},
    scan::{Difference, Part, Pass, Scanned, Scanning, Unknown},
};
use crate::{
    RelPath,
    entry::Entry,
    error::Error,
    fs::{Found, What, is_absent, look_in, names, open_in, read_link_in},
    path::Joined,
    state::{Cursor, Remembered, Update},
    watch::Item,
};

/// Folders within folders that are looked at.
pub(super) const DEEPEST: usize = 512;
/// Files and bytes that are read by one task.
const READ_FILES: usize = 64;
const READ_BYTES: u64 = 8 << 20;

pub(super) struct Visitor<'a> {
    pub(super) scanning: Scanning<'a>,
    pass: Pass<'a>,
    pub(super) queue: &'a Queue,
    /// What is left to look at over a name.
    below: &'a HashMap<RelPath, Vec<Item>>,
    pub(super) part: Part,
    /// Folders that are known are left to those who look into them.
    only_names: bool,
}

/// What looking into one folder leaves to do.
#[derive(Default)]
struct Left {
    folders: Vec<Folder>,
    gone: Vec<RelPath>,
    files: Vec<(RelPath, Found, Remembered)>,
    dirty: Vec<Task>,
}

/// What is at a name, and what is remembered.
struct Named<'n> {
    name: &'n [u8],
    path: &'n [u8],
    found: Found,
    what: Remembered,
    /// What is remembered of what the folder was before, and where that was.
    before: Option<(Remembered, &'n RelPath)>,
}

/// What a folder was before, beside what it is.
struct Beside<'b> {
    path: &'b RelPath,
    cursor: Cursor,
    next: Option<(Vec<u8>, Remembered)>,
}

impl Beside<'_> {
    /// Names are asked for in their order.
    fn take(&mut self, name: &[u8]) -> Result<Option<Remembered>, Error> {
        while self.next.as_ref().is_some_and(|(next, _)| next.as_slice() < name) {
            self.next = self.cursor.next()?;
        }
        Ok(self.next.take_if(|(next, _)| next == name).map(|(_, what)| what))
    }
}

impl<'a> Visitor<'a> {
    pub(super) fn new(
        scanning: Scanning<'a>,
        pass: Pass<'a>,
        queue: &'a Queue,
        below: &'a HashMap<RelPath, Vec<Item>>,
    ) -> Self {
        Self { scanning, pass, queue, below, part: Part::default(), only_names: false }
    }

    pub(super) fn visit(&mut self, task: Task) -> Result<(), Error> {
        self.scanning.cancel.check()?;
        self.only_names = matches!(task, Task::Names(_));
        match task {
            Task::Names(Some(folder)) | Task::Tree(folder) => self.dirty_folder(folder),
            Task::Names(None) | Task::Folder(Folder { path: None, .. }) => self
                .folder(None, None)
                .map_err(Error::io("read the folder that is synchronised"))?,
            Task::Folder(Folder { path: Some(folder), before }) => {
                self.known_folder(folder, before.as_ref())
            }
            Task::New(New { path, found, what }) => {
                let before = self.origin(&found).cloned();
                let now = Scanned { entry: Entry::Folder, found };
                self.is_there(path.as_bytes(), Some(path.clone()), now, what);
                self.known_folder(path, before.as_ref())
            }
            Task::Same { number, folder, before } => match self.pass {
                Pass::Same(candidates) => match candidates.get(number) {
                    Some(candidate) => self.is_same(candidate, number, &folder, &before),
                    None => Ok(()),
                },
                Pass::First | Pass::New(_) | Pass::Last(..) => Ok(()),
            },
            Task::Read(files) => self.read_all(files, None),
            Task::Lost(Gone { path, what, why }) => {
                match why {
                    Why::Nothing => self.forget(path.as_bytes(), &what),
                    // What is there now was told.
                    Why::Replaced | Why::OutOfSight => {}
                }
                self.inside_is_gone(&path)
            }
            Task::Gone(folder) => self.inside_is_gone(&folder),
        }
    }

    /// What this folder was before.
    fn origin(&self, found: &Found) -> Option<&'a RelPath> {
        match self.pass {
            Pass::New(origins) | Pass::Last(origins, _) => origins.of(found).map(|it| &it.path),
            Pass::First | Pass::Same(_) => None,
        }
    }

    fn known_folder(&mut self, folder: RelPath, before: Option<&RelPath>) -> Result<(), Error> {
        if folder.ancestors().count() >= DEEPEST {
            self.unknown(folder, format!("it is more than {DEEPEST} folders deep"));
            return Ok(());
        }
        match self.folder(Some(&folder), before) {
            Ok(done) => done,
            Err(error) if is_absent(&error) => {
                self.learn(folder.clone(), None);
                self.part.vanished.push(folder.clone());
                let mut left = Left::default();
                self.lose(folder, &Remembered::default(), Why::OutOfSight, &mut left);
                self.leave(left, None)
            }
            Err(error) => {
                self.unknown(folder, format!("the folder can't be read: {error}"));
                Ok(())
            }
        }
    }

    /// What is not there any more is told by the folder it was in.
    fn dirty_folder(&mut self, folder: RelPath) -> Result<(), Error> {
        if folder.ancestors().count() >= DEEPEST {
            self.unknown(folder, format!("it is more than {DEEPEST} folders deep"));
            return Ok(());
        }
        match self.folder(Some(&folder), None) {
            Ok(done) => done,
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => {
                self.unknown(folder, format!("the folder can't be read: {error}"));
                Ok(())
            }
        }
    }

    /// Looks at what is in one folder. The outer error is the folder's own.
    fn folder(
        &mut self,
        folder: Option<&RelPath>,
        before: Option<&RelPath>,
    ) -> io::Result<Result<(), Error>> {
        let fd = self.scanning.root.folder(folder)?;
        if let Some(look) = self.scanning.look {
            look.watch(folder, fd.as_fd());
        }
        let names = names(fd.as_fd())?;
        Ok(self.compare(folder, before, fd.as_fd(), &names))
    }

    /// Walks through the names that are there and those that are remembered, both sorted.
    fn compare(
        &mut self,
        folder: Option<&RelPath>,
        before: Option<&RelPath>,
        fd: BorrowedFd<'_>,
        names: &[Vec<u8>],
    ) -> Result<(), Error> {
        let mut cursor = self.scanning.memory.folder(folder)?;
        let mut beside = match before {
            Some(path) => {
                let mut cursor = self.scanning.memory.folder(Some(path))?;
                let next = cursor.next()?;
                Some(Beside { path, cursor, next })
            }
            None => None,
        };
        let mut left = Left::default();
        let mut joined = Joined::new(folder);
        let mut known = cursor.next()?;
        for name in names {
            while let Some((before, what)) = known.take_if(|(before, _)| *before < *name) {
                self.gone(joined.with(&before), &what, &mut left);
                known = cursor.next()?;
            }
            let what = match known.take_if(|(same, _)| same == name) {
                Some((_, what)) => {
                    known = cursor.next()?;
                    what
                }
                None => Remembered::default(),
            };
            if folder.is_none() && name == RESERVED {
                continue;
            }
            let path = joined.with(name);
            if let Err(error) = RelPath::check_length(path) {
                // It can't be named to the other side: the folder it is in is not complete.
                let reason = format!("{}: {error}", String::from_utf8_lossy(name));
                if let Some(folder) = folder {
                    self.unknown(folder.clone(), reason);
                }
                continue;
            }
            match look_in(fd, name) {
                Ok(Some(found)) => {
                    let is_folder = found.what == What::Folder;
                    if self.scanning.exclusions.matches_bytes(path, is_folder) {
                        self.excluded(path, &what, &mut left);
                    } else {
                        if found.is_linked {
                            self.part.scan.linked.insert(RelPath::joined(path));
                        }
                        let before = match &mut beside {
                            Some(beside) => beside.take(name)?.map(|what| (what, beside.path)),
                            None => None,
                        };
                        let named = Named { name, path, found, what, before };
                        self.found(fd, named, &mut left);
                    }
                }
                Ok(None) => self.gone(path, &what, &mut left),
                Err(error) => {
                    let reason = format!("it can't be looked at: {error}");
                    self.unknown(RelPath::joined(path), reason);
                }
            }
        }
        while let Some((before, what)) = known {
            self.gone(joined.with(&before), &what, &mut left);
            known = cursor.next()?;
        }
        self.leave(left, Some(fd))
    }

    fn found(&mut self, fd: BorrowedFd<'_>, named: Named<'_>, left: &mut Left) {
        if named.found.what == What::Folder {
            return self.found_folder(named, left);
        }
        let Named { name, path, found, what, before } = named;
        let seen = [what.seen.as_ref(), before.as_ref().and_then(|(what, _)| what.seen.as_ref())];
        let trusted =
            seen.into_iter().flatten().find(|known| known.stamp == found.stamp && !known.racy);
        if matches!(found.what, What::File | What::Link) && was_folder(&what) {
            self.lose(RelPath::joined(path), &what, Why::Replaced, left);
        }
        let entry = match found.what {
            What::Special(special) => {
                let reason = format!("{} is not synchronised", special.name());
                let unknown = Unknown { reason, special: true };
                self.part.scan.unknown.insert(RelPath::joined(path), unknown);
                return;
            }
            What::Link => match trusted.map(|known| &known.entry) {
                Some(entry @ Entry::Link { .. }) => entry.clone(),
                _ => match read_link_in(fd, name) {
                    Ok(target) => Entry::Link { target },
                    Err(error) if is_absent(&error) => return self.gone(path, &what, left),
                    Err(error) => {
                        let reason = format!("the link can't be read: {error}");
                        return self.unknown(RelPath::joined(path), reason);
                    }
                },
            },
            What::Folder | What::File => match trusted.map(|known| &known.entry) {
                Some(entry @ Entry::File { .. }) => entry.clone(),
                _ => return left.files.push((RelPath::joined(path), found, what)),
            },
        };
        self.is_there(path, None, Scanned { entry, found }, what);
    }

    fn found_folder(&mut self, named: Named<'_>, left: &mut Left) {
        let Named { name, path, found, what, before } = named;
        let folder = RelPath::joined(path);
        let is_this = |what: &Remembered| {
            let seen = what.seen.as_ref().filter(|seen| seen.entry.is_folder());
            seen.is_some_and(|seen| seen.stamp == found.stamp.of_folder())
        };
        let now = Scanned { entry: Entry::Folder, found };
        if is_this(&what) {
            if !self.only_names {
                left.folders.push(Folder { path: Some(folder), before: None });
            } else if let Some(items) = self.below.get(&folder) {
                left.dirty.extend(items.iter().cloned().map(Task::from));
            }
            return self.is_there(path, None, now, what);
        }
        let before = before
            .filter(|(before, _)| is_this(before))
            .and_then(|(_, above)| RelPath::in_folder(Some(above), name).ok())
            .or_else(|| self.origin(&found).cloned());
        let waits = match self.pass {
            Pass::First => true,
            Pass::New(_) => before.is_some(),
            Pass::Same(_) | Pass::Last(..) => false,
        };
        if waits {
            self.part.new.push(New { path: folder, found, what });
        } else {
            left.folders.push(Folder { path: Some(folder), before });
            self.is_there(path, None, now, what);
        }
    }

    /// Remembers and reports; the path is only made when it is needed.
    fn is_there(&mut self, bytes: &[u8], path: Option<RelPath>, now: Scanned, what: Remembered) {
        let scan = &mut self.part.scan;
        scan.entries += 1;
        let is_folder = now.entry.is_folder();
        let known = what.seen.as_ref().is_some_and(|known| {
            let stamp = now.found.stamp;
            known.stamp == if is_folder { stamp.of_folder() } else { stamp }
                && known.entry == now.entry
                && (is_folder || known.racy == is_racy(&stamp, self.scanning.now_ns))
        });
        let agreed = what.agreed.filter(|_| self.scanning.is_agreed);
        let differs = agreed.as_ref() != Some(&now.entry);
        if known && !differs {
            return;
        }
        let path = path.unwrap_or_else(|| RelPath::joined(bytes));
        if !known {
            let stamp = now.found.stamp;
            let fresh = Known {
                entry: now.entry.clone(),
                stamp: if is_folder { stamp.of_folder() } else { stamp },
                racy: !is_folder && is_racy(&stamp, self.scanning.now_ns),
            };
            scan.learned.insert(path.clone(), Update::seen(Some(fresh)));
        }
        if differs {
            scan.differences.insert(path, Difference { now: Some(now), agreed });
        }
    }

    /// Nothing is there any more of what is remembered.
    fn gone(&mut self, path: &[u8], what: &Remembered, left: &mut Left) {
        if !was_folder(what) {
            return self.forget(path, what);
        }
        let folder = RelPath::joined(path);
        match self.pass {
            Pass::First => {}
            Pass::Last(_, moves) if moves.is_from(&folder) => return,
            Pass::New(_) | Pass::Same(_) | Pass::Last(..) => self.forget(path, what),
        }
        self.lose(folder, what, Why::Nothing, left);
    }

    /// It is there, and nobody's business any more.
    fn excluded(&mut self, path: &[u8], what: &Remembered, left: &mut Left) {
        self.forget(path, what);
        if was_folder(what) {
            self.lose(RelPath::joined(path), what, Why::OutOfSight, left);
        }
    }

    fn lose(&mut self, folder: RelPath, what: &Remembered, why: Why, left: &mut Left) {
        match self.pass {
            Pass::First => self.part.gone.push(Gone { path: folder, what: what.clone(), why }),
            Pass::New(_) | Pass::Same(_) | Pass::Last(..) => left.gone.push(folder),
        }
    }

    fn forget(&mut self, path: &[u8], what: &Remembered) {
        if what.seen.is_some() {
            self.learn(RelPath::joined(path), None);
        }
        if let Some(agreed) = &what.agreed
            && self.scanning.is_agreed
        {
            let difference = Difference { now: None, agreed: Some(agreed.clone()) };
            self.part.scan.differences.insert(RelPath::joined(path), difference);
        }
    }

    fn inside_is_gone(&mut self, folder: &RelPath) -> Result<(), Error> {
        let mut cursor = self.scanning.memory.folder(Some(folder))?;
        let mut joined = Joined::new(Some(folder));
        let mut left = Left::default();
        while let Some((name, what)) = cursor.next()? {
            self.gone(joined.with(&name), &what, &mut left);
        }
        self.leave(left, None)
    }

    /// Gives work away; the first files are read here.
    fn leave(&mut self, left: Left, folder: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let mut reading = Vec::new();
        let (mut part, mut bytes) = (Vec::new(), 0);
        for file in left.files {
            bytes += file.1.stamp.size;
            part.push(file);
            if part.len() >= READ_FILES || bytes >= READ_BYTES {
                reading.push(std::mem::take(&mut part));
                bytes = 0;
            }
        }
        let folders = left.folders.into_iter().rev().map(Task::Folder);
        let gone = left.gone.into_iter().map(Task::Gone);
        self.queue
            .push(folders.chain(gone).chain(left.dirty).chain(reading.into_iter().map(Task::Read)));
        self.read_all(part, folder)
    }

    /// `folder`: that they are all in, where it is open.
    fn read_all(
        &mut self,
        files: Vec<(RelPath, Found, Remembered)>,
        folder: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        for (path, found, what) in files {
            self.scanning.cancel.check()?;
            self.read(path, folder, &found, what)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        path: RelPath,
        folder: Option<BorrowedFd<'_>>,
        found: &Found,
        what: Remembered,
    ) -> Result<(), Error> {
        let opened = match folder {
            Some(folder) => open_in(folder, path.parts().1),
            None => self.scanning.root.file(&path),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_absent(&error) => {
                self.forget(path.as_bytes(), &what);
                return Ok(());
            }
            Err(error) => {
                self.unknown(path, format!("the file can't be opened: {error}"));
                return Ok(());
            }
        };
        match hash(&file, found.stamp, self.scanning.cancel) {
            Ok(Hashed::Stable(digest, stamp, blocks)) => {
                if let Some(blocks) = blocks {
                    self.scanning.state.keep_blocks(digest, &blocks)?;
                }
                let entry = Entry::File { size: stamp.size, digest, executable: stamp.executable };
                let now = Scanned {
                    entry,
                    found: Found { what: What::File, stamp, is_linked: found.is_linked },
                };
                let bytes = path.clone();
                self.is_there(bytes.as_bytes(), Some(path), now, what);
            }
            Ok(Hashed::Busy) => self.unknown(path, "it changed while it was read".to_owned()),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => self.unknown(path, error.chain()),
        }
        Ok(())
    }

    fn learn(&mut self, path: RelPath, seen: Option<Known>) {
        self.part.scan.learned.insert(path, Update::seen(seen));
    }

    fn unknown(&mut self, path: RelPath, reason: String) {
        self.part.scan.unknown.insert(path, Unknown { reason, special: false });
    }
}
