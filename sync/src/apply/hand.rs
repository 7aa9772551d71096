//! One operation after the other.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::io::Errno;

use super::{Ready, conflict_name};
use crate::{
    RelPath,
    entry::Digest,
    entry::Entry,
    error::Error,
    fs::{Found, Stamp, What, is_absent, look_in},
    index::Known,
    plan::Ended,
    side::{Batch, Side},
    transfer::Staged,
};

/// An operation that is about to be carried out.
pub(super) struct Task {
    /// In its batch.
    pub at: usize,
    pub path: RelPath,
    pub ready: Ready,
    pub expected: Option<Found>,
    /// What is known of the content of that.
    pub content: Option<Digest>,
    /// Its name in the trash, for what is displaced.
    pub thing: Option<String>,
}

/// Carries out operations, and keeps what came of them.
pub(super) struct Hand<'a> {
    pub(super) side: &'a Side,
    label: &'a str,
    batch: &'a Result<Option<Batch>, String>,
    /// The folder of the operation before.
    folder: Option<(Option<RelPath>, OwnedFd)>,
    pub made: Vec<(RelPath, Option<Found>)>,
    pub known: Vec<(RelPath, Option<Known>)>,
    pub displaced: Vec<RelPath>,
    /// With its place in the batch, and whether its folder may have changed.
    pub ended: Vec<(usize, RelPath, Ended, bool)>,
    /// What could not be done as a whole.
    pub torn: Vec<Task>,
    /// In the staging folder, of folders that got no name.
    pub remains: Vec<RelPath>,
}

/// What lies in the staging folder and waits for its name.
struct Waiting<'s> {
    shelf: usize,
    name: &'s str,
    entry: Entry,
    stamp: Stamp,
}

/// Where an operation happens.
pub(super) struct Spot<'s> {
    pub path: &'s RelPath,
    pub folder: BorrowedFd<'s>,
    pub name: &'s [u8],
    pub expected: Option<Found>,
    thing: Option<&'s str>,
}

/// Why nothing lies in the staging folder any more, or still does.
enum Left {
    /// It has its name now.
    Nothing,
    /// It got none.
    New(Ended),
    /// What it displaced: that waits for the next run, which moves it into the trash.
    Displaced(io::Error),
}

/// A failure of this path alone; the run goes on.
pub(super) fn skip(error: &io::Error) -> Ended {
    if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
        return Ended::Skipped("trash and files lie on different file systems".to_owned());
    }
    Ended::Skipped(error.to_string())
}

/// A file system that can't swap two names.
fn no_exchange(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn is_as(found: Option<Found>, expected: &Found) -> bool {
    found.is_some_and(|found| {
        found.what == expected.what && found.stamp.same_but_renamed(&expected.stamp)
    })
}

impl<'a> Hand<'a> {
    pub(super) const fn new(
        side: &'a Side,
        label: &'a str,
        batch: &'a Result<Option<Batch>, String>,
    ) -> Self {
        Self {
            side,
            label,
            batch,
            folder: None,
            made: Vec::new(),
            known: Vec::new(),
            displaced: Vec::new(),
            ended: Vec::new(),
            torn: Vec::new(),
            remains: Vec::new(),
        }
    }

    pub(super) fn work(&mut self, tasks: Vec<Task>) -> Result<(), Error> {
        for task in tasks {
            self.side.context.cancel.check()?;
            let Some(task) = self.whole(task) else { continue };
            let (at, path) = (task.at, task.path.clone());
            let is_failed = matches!(task.ready, Ready::Failed(_));
            let ended = self.carry_out(task)?;
            let changed = ended == Ended::Done && !is_failed;
            self.ended.push((at, path, ended, changed));
        }
        self.folder = None;
        Ok(())
    }

    /// Does what stands for many operations at once; answers what is one.
    fn whole(&mut self, mut task: Task) -> Option<Task> {
        let mut is_one = false;
        let (within, done) = match std::mem::replace(&mut task.ready, Ready::Coming) {
            Ready::DeleteTree(tree) => {
                task.ready = Ready::Delete;
                is_one = tree.is_one;
                let done = match (self.batch, task.thing.take()) {
                    (Ok(Some(batch)), Some(thing)) => {
                        tree.gone.take(self.side, batch.folder.as_fd(), &thing)
                    }
                    _ => Ok(false),
                };
                (tree.tasks, done)
            }
            Ready::PutTree(tree) => {
                let done = self.place_tree(&task.path, &tree.folder.at);
                if !done {
                    self.remains.push(tree.folder.at.clone());
                }
                task.ready = Ready::NewFolder(tree.folder);
                (tree.tasks, Ok(done))
            }
            ready => return Some(Task { ready, ..task }),
        };
        match done {
            Ok(false) if is_one => {
                self.ended.push((task.at, task.path, Ended::Changed, false));
            }
            // Folders before what is in them, or behind it.
            Ok(false) if task.ready.is_delete() => {
                self.torn.extend(within.into_iter().chain([task]));
            }
            Ok(false) => self.torn.extend([task].into_iter().chain(within)),
            Ok(true) => within.into_iter().chain([task]).for_each(|task| self.done_within(task)),
            Err(error) => {
                for Task { at, path, .. } in within.into_iter().chain([task]) {
                    self.ended.push((at, path, skip(&error), false));
                }
            }
        }
        None
    }

    /// Gives a folder of the staging folder its name.
    fn place_tree(&mut self, path: &RelPath, at: &RelPath) -> bool {
        let (parent, name) = path.split();
        let Ok(folder) = self.folder(parent.as_ref()) else { return false };
        let (fs, stage) = (self.side.fs(), self.side.stage());
        let done = fs.rename_new(stage, at.as_bytes(), folder.as_fd(), name).is_ok();
        self.folder = Some((parent, folder));
        done
    }

    /// Was done with its folder, whose rename changes no stamp of what is in it.
    fn done_within(&mut self, task: Task) {
        let Task { at, path, ready, .. } = task;
        match ready {
            Ready::NewFolder(folder) => self.note(&path, Some(folder.found), Some(Entry::Folder)),
            Ready::PutFile(Staged { stamp, entry, .. }) => {
                let found = Found { what: What::File, stamp, is_linked: false };
                self.note(&path, Some(found), Some(entry));
            }
            _ => self.note(&path, None, None),
        }
        self.ended.push((at, path, Ended::Done, true));
    }

    /// The folder that a path is in, opened once for many.
    fn folder(&mut self, folder: Option<&RelPath>) -> io::Result<OwnedFd> {
        match self.folder.take() {
            Some((known, fd)) if known.as_ref() == folder => Ok(fd),
            _ => self.side.root.folder(folder),
        }
    }

    fn carry_out(&mut self, task: Task) -> Result<Ended, Error> {
        let Task { path, ready, expected, thing, .. } = task;
        let ready = match ready {
            Ready::Failed(ended) => return Ok(ended),
            ready => ready,
        };
        let (parent, name) = path.split();
        let folder = match self.folder(parent.as_ref()) {
            Ok(folder) => folder,
            Err(error) => {
                if let Ready::PutFile(staged @ Staged { within: None, .. }) = &ready {
                    self.unstage(staged.shelf, &staged.name)?;
                }
                let gone = is_absent(&error);
                return Ok(match (gone, &ready) {
                    (true, ready) if ready.is_delete() => Ended::Done,
                    (true, _) => Ended::Skipped("the folder it belongs in is not there".to_owned()),
                    (false, _) => skip(&error),
                });
            }
        };
        let thing = thing.as_deref();
        let spot = Spot { path: &path, folder: folder.as_fd(), name, expected, thing };
        let done = match ready {
            Ready::MakeFolder | Ready::NewFolder(_) => self.make_folder(&spot),
            Ready::Delete => self.delete(&spot),
            Ready::SetExecutable(executable) => {
                let entry = self.side.saw(&path)?.map(|seen| seen.entry);
                self.set_executable(&spot, executable, entry)
            }
            Ready::PutFile(staged) => Ok(self.put_file(&spot, staged)?),
            Ready::PutLink(target) => Ok(self.put_link(&spot, target)?),
            Ready::MoveFolder(from) => self.move_folder(&spot, &from),
            Ready::Failed(ended) => Ok(ended),
            // Trees are dealt with before.
            Ready::Coming | Ready::DeleteWhole | Ready::DeleteTree(_) | Ready::PutTree(_) => {
                Ok(Ended::Changed)
            }
        };
        self.folder = Some((parent, folder));
        Ok(done.unwrap_or_else(|error| skip(&error)))
    }

    fn make_folder(&mut self, spot: &Spot<'_>) -> io::Result<Ended> {
        match self.side.fs().make_folder(spot.folder, spot.name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = look_in(spot.folder, spot.name)?;
                if there.map(|found| found.what) != Some(What::Folder) {
                    return Ok(Ended::Changed);
                }
            }
            Err(error) => return Err(error),
        }
        let found = look_in(spot.folder, spot.name)?;
        self.note(spot.path, found, Some(Entry::Folder));
        Ok(Ended::Done)
    }

    fn set_executable(
        &mut self,
        spot: &Spot<'_>,
        executable: bool,
        entry: Option<Entry>,
    ) -> io::Result<Ended> {
        let file = self.side.root.file(spot.path)?;
        if Some(Found::of_file(&file)?) != spot.expected {
            return Ok(Ended::Changed);
        }
        self.side.fs().set_executable(&file, executable)?;
        let found = Found::of_file(&file)?;
        self.note(spot.path, Some(found), entry.map(|entry| entry.with_executable(executable)));
        Ok(Ended::Done)
    }

    /// The folder of the trash for what is displaced, and the name there.
    fn trash<'t>(&self, spot: &Spot<'t>) -> io::Result<(BorrowedFd<'a>, &'t str)> {
        match (self.batch, spot.thing) {
            (Ok(Some(batch)), Some(thing)) => Ok((batch.folder.as_fd(), thing)),
            (Err(reason), _) => Err(io::Error::other(reason.clone())),
            (Ok(_), _) => Err(io::Error::other("nothing was expected here")),
        }
    }

    fn delete(&mut self, spot: &Spot<'_>) -> io::Result<Ended> {
        let Some(expected) = spot.expected else { return Ok(Ended::Changed) };
        let Some(there) = look_in(spot.folder, spot.name)? else {
            self.note(spot.path, None, None);
            return Ok(Ended::Done);
        };
        let fs = self.side.fs().as_ref();
        if expected.what == What::Folder {
            return match fs.remove_folder(spot.folder, spot.name) {
                Ok(()) => {
                    self.note(spot.path, None, None);
                    Ok(Ended::Done)
                }
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    Ok(Ended::Skipped("the folder still has files that stay".to_owned()))
                }
                Err(error) => Err(error),
            };
        }
        if there != expected {
            return Ok(Ended::Changed);
        }
        let (trash, thing) = self.trash(spot)?;
        match fs.rename_new(spot.folder, spot.name, trash, thing.as_bytes()) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => return Ok(Ended::Done),
            Err(error) => return Err(error),
        }
        if is_as(look_in(trash, thing.as_bytes())?, &expected) {
            self.note(spot.path, None, None);
            return Ok(Ended::Done);
        }
        // Somebody wrote between the look and the rename: it goes back.
        match fs.rename_new(trash, thing.as_bytes(), spot.folder, spot.name) {
            Ok(()) => {}
            // And then made another one: what was taken stays in the trash.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Ended::Changed)
    }

    fn put_file(&mut self, spot: &Spot<'_>, staged: Staged) -> Result<Ended, Error> {
        let Staged { mut shelf, name, within, entry, blocks, file, stamp } = staged;
        drop(file);
        if let Some(folder) = within {
            let stage = self.side.stage();
            let moved = self.side.place.staged(Some(&folder)).and_then(|folder| {
                self.side.fs().rename_new(folder.as_fd(), spot.name, stage, name.as_bytes())
            });
            if let Err(error) = moved {
                return Ok(skip(&error));
            }
            shelf = 0;
        }
        let digest = entry.digest();
        let ended = self.put(spot, &Waiting { shelf, name: &name, entry, stamp })?;
        if let (Ended::Done, Some(blocks), Some(digest)) = (&ended, &blocks, digest) {
            self.side.state.keep_blocks(digest, blocks)?;
        }
        Ok(ended)
    }

    fn put_link(&mut self, spot: &Spot<'_>, target: Box<[u8]>) -> Result<Ended, Error> {
        let name = match spot.thing {
            // What it displaces goes into the trash under its name.
            Some(thing) => thing.to_owned(),
            None => self.side.place.new_name(),
        };
        let stage = self.side.stage();
        let made = self.side.fs().make_link(stage, name.as_bytes(), &target);
        match made.and_then(|()| look_in(stage, name.as_bytes())) {
            Ok(Some(Found { stamp, .. })) => {
                let entry = Entry::Link { target };
                self.put(spot, &Waiting { shelf: 0, name: &name, entry, stamp })
            }
            Ok(None) => Ok(Ended::Changed),
            Err(error) => {
                self.unstage(0, &name)?;
                Ok(skip(&error))
            }
        }
    }

    /// Gives what is staged its name, or takes it away.
    fn put(&mut self, spot: &Spot<'_>, waiting: &Waiting<'_>) -> Result<Ended, Error> {
        let left = self.give_name(spot, waiting).unwrap_or_else(|error| Left::New(skip(&error)));
        match left {
            Left::Nothing => {}
            Left::New(ended) => {
                self.unstage(waiting.shelf, waiting.name)?;
                return Ok(ended);
            }
            Left::Displaced(error) => return Ok(skip(&error)),
        }
        let found = match look_in(spot.folder, spot.name) {
            Ok(found) => found,
            Err(error) => return Ok(skip(&error)),
        };
        // Somebody may have written to it since: then nothing is known of it.
        let is_ours = found.is_some_and(|found| found.stamp.same_but_renamed(&waiting.stamp));
        self.note(spot.path, found, is_ours.then(|| waiting.entry.clone()));
        Ok(Ended::Done)
    }

    fn give_name(&mut self, spot: &Spot<'_>, waiting: &Waiting<'_>) -> io::Result<Left> {
        // Where nothing should be, the rename itself makes sure.
        if spot.expected.is_some() && look_in(spot.folder, spot.name)? != spot.expected {
            return Ok(Left::New(Ended::Changed));
        }
        let shelf = self.side.place.shelf(waiting.shelf);
        match spot.expected {
            None => {
                let fs = self.side.fs();
                match fs.rename_new(shelf, waiting.name.as_bytes(), spot.folder, spot.name) {
                    Ok(()) => Ok(Left::Nothing),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Ok(Left::New(Ended::Changed))
                    }
                    Err(error) => Err(error),
                }
            }
            Some(Found { what: What::Folder | What::Special(_), .. }) => {
                Ok(Left::New(Ended::Changed))
            }
            Some(expected) => self.replace(spot, shelf, waiting.name, &expected),
        }
    }

    /// Swaps, then looks at what was displaced.
    fn replace(
        &mut self,
        spot: &Spot<'_>,
        shelf: BorrowedFd<'_>,
        staged: &str,
        expected: &Found,
    ) -> io::Result<Left> {
        let fs = self.side.fs().as_ref();
        let (trash, thing) = self.trash(spot)?;
        match fs.exchange(shelf, staged.as_bytes(), spot.folder, spot.name) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => return Ok(Left::New(Ended::Changed)),
            Err(error) if no_exchange(&error) => {
                return self.replace_in_two_steps(spot, shelf, staged);
            }
            Err(error) => return Err(error),
        }
        let displaced = match look_in(shelf, staged.as_bytes()) {
            Ok(displaced) => displaced,
            Err(error) => return Ok(Left::Displaced(error)),
        };
        if is_as(displaced, expected) {
            let Err(error) = fs.rename_new(shelf, staged.as_bytes(), trash, thing.as_bytes())
            else {
                return Ok(Left::Nothing);
            };
            // Nothing may be displaced that can't be had back.
            return match fs.exchange(shelf, staged.as_bytes(), spot.folder, spot.name) {
                Ok(()) => Err(error),
                Err(error) => Ok(Left::Displaced(error)),
            };
        }
        // Somebody wrote in the last moment: their version stays beside the new one.
        let now = self.side.context.clock.now();
        let kept = conflict_name(spot.name, self.label, now, |candidate| {
            look_in(spot.folder, candidate).ok().flatten().is_some()
        });
        if let Err(error) = fs.rename_new(shelf, staged.as_bytes(), spot.folder, &kept) {
            return Ok(Left::Displaced(error));
        }
        self.displaced.extend(RelPath::in_folder(spot.path.parent().as_ref(), &kept));
        Ok(Left::Nothing)
    }

    /// There is a moment without the file, and never one with half of it.
    fn replace_in_two_steps(
        &self,
        spot: &Spot<'_>,
        shelf: BorrowedFd<'_>,
        staged: &str,
    ) -> io::Result<Left> {
        let fs = self.side.fs().as_ref();
        let (trash, thing) = self.trash(spot)?;
        fs.rename_new(spot.folder, spot.name, trash, thing.as_bytes())?;
        match fs.rename_new(shelf, staged.as_bytes(), spot.folder, spot.name) {
            Ok(()) => Ok(Left::Nothing),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Left::New(Ended::Changed))
            }
            Err(error) => {
                fs.rename_new(trash, thing.as_bytes(), spot.folder, spot.name)?;
                Err(error)
            }
        }
    }

    /// Takes a staged file away that got no name.
    fn unstage(&self, shelf: usize, name: &str) -> Result<(), Error> {
        match self.side.fs().remove_file(self.side.place.shelf(shelf), name.as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("take a staged file away")(error)),
        }
    }

    /// Remembers what is at a path now; `entry` only where it is known.
    fn note(&mut self, path: &RelPath, found: Option<Found>, entry: Option<Entry>) {
        let known = match (found, entry) {
            (None, _) => Some(None),
            (Some(found), Some(Entry::Folder)) => {
                let stamp = found.stamp.of_folder();
                Some(Some(Known { entry: Entry::Folder, stamp, racy: false }))
            }
            (Some(found), Some(entry)) => {
                Some(Some(Known { entry, stamp: found.stamp, racy: true }))
            }
            (Some(_), None) => None,
        };
        self.known.extend(known.map(|known| (path.clone(), known)));
        self.made.push((path.clone(), found));
    }
}
