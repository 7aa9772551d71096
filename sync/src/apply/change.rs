//! One operation.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{fs::fstat, io::Errno};

use super::{Applier, Ready, conflict_name};
use crate::{
    RelPath,
    entry::Entry,
    error::Error,
    fs::{Found, What, is_absent, look_in},
    plan::Ended,
    side::THING,
    transfer::Staged,
};

/// A failure of this path alone; the run goes on. `None`: the run can't go on.
fn skip(error: &io::Error) -> Ended {
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

impl Applier<'_> {
    pub(super) fn carry_out(&mut self, path: &RelPath, ready: Ready) -> Result<Ended, Error> {
        let (folder, name) = path.split();
        if let Ready::Failed(ended) = ready {
            return Ok(ended);
        }
        let folder = match self.side.root.folder(folder.as_ref()) {
            Ok(folder) => folder,
            Err(error) => {
                if let Ready::PutFile(staged) = &ready {
                    self.unstage(&staged.name)?;
                }
                let gone = is_absent(&error);
                return Ok(match (gone, &ready) {
                    (true, Ready::Delete) => Ended::Done,
                    (true, _) => Ended::Skipped("the folder it belongs in is not there".to_owned()),
                    (false, _) => skip(&error),
                });
            }
        };
        let expected = self.expected(path)?;
        let done = match ready {
            Ready::MakeFolder => self.make_folder(path, &folder, name),
            Ready::Delete => self.delete(path, &folder, name, expected),
            Ready::SetExecutable(executable) => {
                let entry = self.side.saw(path)?.map(|seen| seen.entry);
                self.set_executable(path, executable, expected, entry)
            }
            Ready::PutFile(staged) => {
                let Staged { name: staged_name, entry, blocks, file } = staged;
                drop(file);
                let done = self.put(path, (&folder, name), &staged_name, &entry, expected);
                if let (Ok(Ended::Done), Some(blocks), Some(digest)) =
                    (&done, &blocks, entry.digest())
                {
                    self.side.state.keep_blocks(digest, blocks)?;
                }
                if !matches!(done, Ok(Ended::Done)) {
                    self.unstage(&staged_name)?;
                }
                done
            }
            Ready::PutLink(target) => {
                let staged = self.side.place.new_name();
                let made = self.side.fs().make_link(self.side.stage(), staged.as_bytes(), &target);
                let done = made.and_then(|()| {
                    self.put(path, (&folder, name), &staged, &Entry::Link { target }, expected)
                });
                if !matches!(done, Ok(Ended::Done)) {
                    self.unstage(&staged)?;
                }
                done
            }
            Ready::Failed(ended) => Ok(ended),
        };
        Ok(done.unwrap_or_else(|error| skip(&error)))
    }

    fn make_folder(&mut self, path: &RelPath, folder: &OwnedFd, name: &[u8]) -> io::Result<Ended> {
        match self.side.fs().make_folder(folder.as_fd(), name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = look_in(folder.as_fd(), name)?;
                if there.map(|found| found.what) != Some(What::Folder) {
                    return Ok(Ended::Changed);
                }
            }
            Err(error) => return Err(error),
        }
        let found = look_in(folder.as_fd(), name)?;
        self.note(path, found, Some(Entry::Folder));
        Ok(Ended::Done)
    }

    fn set_executable(
        &mut self,
        path: &RelPath,
        executable: bool,
        expected: Option<Found>,
        entry: Option<Entry>,
    ) -> io::Result<Ended> {
        let file = self.side.root.file(path)?;
        if Some(Found::of(&fstat(&file)?)) != expected {
            return Ok(Ended::Changed);
        }
        self.side.fs().set_executable(&file, executable)?;
        let found = Found::of(&fstat(&file)?);
        self.note(path, Some(found), entry.map(|entry| entry.with_executable(executable)));
        Ok(Ended::Done)
    }

    fn delete(
        &mut self,
        path: &RelPath,
        folder: &OwnedFd,
        name: &[u8],
        expected: Option<Found>,
    ) -> io::Result<Ended> {
        let Some(expected) = expected else { return Ok(Ended::Changed) };
        let Some(there) = look_in(folder.as_fd(), name)? else {
            self.note(path, None, None);
            return Ok(Ended::Done);
        };
        if expected.what == What::Folder {
            return match self.side.fs().remove_folder(folder.as_fd(), name) {
                Ok(()) => {
                    self.note(path, None, None);
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
        let fs = self.side.fs().as_ref();
        let id = self.side.place.new_name();
        let slot =
            self.side.place.slot(fs, &id, path, "deleted on the other side", self.now_s())?;
        if let Err(error) = fs.rename_new(folder.as_fd(), name, slot.folder.as_fd(), THING) {
            self.side.place.discard(fs, &slot)?;
            return if is_absent(&error) { Ok(Ended::Done) } else { Err(error) };
        }
        let taken = look_in(slot.folder.as_fd(), THING)?;
        if taken.is_some_and(|taken| {
            taken.what == expected.what && taken.stamp.same_but_renamed(&expected.stamp)
        }) {
            self.note(path, None, None);
            return Ok(Ended::Done);
        }
        // Somebody wrote between the look and the rename: it goes back.
        match fs.rename_new(slot.folder.as_fd(), THING, folder.as_fd(), name) {
            Ok(()) => self.side.place.discard(fs, &slot)?,
            // And then made another one: what was taken stays in the trash.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Ended::Changed)
    }

    /// Gives what is staged its name.
    fn put(
        &mut self,
        path: &RelPath,
        (folder, name): (&OwnedFd, &[u8]),
        staged: &str,
        entry: &Entry,
        expected: Option<Found>,
    ) -> io::Result<Ended> {
        let there = look_in(folder.as_fd(), name)?;
        if there != expected {
            return Ok(Ended::Changed);
        }
        let fs = self.side.fs().as_ref();
        match expected {
            None => match fs.rename_new(self.side.stage(), staged.as_bytes(), folder.as_fd(), name)
            {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Ended::Changed);
                }
                Err(error) => return Err(error),
            },
            Some(Found { what: What::Folder | What::Special(_), .. }) => return Ok(Ended::Changed),
            Some(expected) => {
                if let Some(ended) = self.replace(path, folder.as_fd(), name, staged, expected)? {
                    return Ok(ended);
                }
            }
        }
        let found = look_in(folder.as_fd(), name)?;
        self.note(path, found, Some(entry.clone()));
        Ok(Ended::Done)
    }

    /// Swaps, then looks at what was displaced. `None`: done.
    fn replace(
        &mut self,
        path: &RelPath,
        folder: BorrowedFd<'_>,
        name: &[u8],
        staged: &str,
        expected: Found,
    ) -> io::Result<Option<Ended>> {
        let fs = self.side.fs().as_ref();
        let place = &self.side.place;
        let slot =
            place.slot(fs, staged, path, "replaced by the other side's version", self.now_s())?;
        match fs.exchange(self.side.stage(), staged.as_bytes(), folder, name) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {
                place.discard(fs, &slot)?;
                return Ok(Some(Ended::Changed));
            }
            Err(error) if no_exchange(&error) => {
                // There is a moment without the file, and never one with half of it.
                fs.rename_new(folder, name, slot.folder.as_fd(), THING)?;
                match fs.rename_new(self.side.stage(), staged.as_bytes(), folder, name) {
                    Ok(()) => return Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Ok(Some(Ended::Changed));
                    }
                    Err(error) => {
                        fs.rename_new(slot.folder.as_fd(), THING, folder, name)?;
                        return Err(error);
                    }
                }
            }
            Err(error) => {
                place.discard(fs, &slot)?;
                return Err(error);
            }
        }
        self.holds_displaced = true;
        let displaced = look_in(self.side.stage(), staged.as_bytes())?;
        let as_expected = displaced.is_some_and(|displaced| {
            displaced.what == expected.what && displaced.stamp.same_but_renamed(&expected.stamp)
        });
        if as_expected {
            let moved =
                fs.rename_new(self.side.stage(), staged.as_bytes(), slot.folder.as_fd(), THING);
            if let Err(error) = moved {
                // Nothing may be displaced that can't be had back.
                fs.exchange(self.side.stage(), staged.as_bytes(), folder, name)?;
                self.holds_displaced = false;
                place.discard(fs, &slot)?;
                return Err(error);
            }
            self.holds_displaced = false;
            return Ok(None);
        }
        // Somebody wrote in the last moment: their version stays beside the new one.
        let kept = conflict_name(name, self.label, self.side.context.clock.now(), |candidate| {
            look_in(folder, candidate).ok().flatten().is_some()
        });
        fs.rename_new(self.side.stage(), staged.as_bytes(), folder, &kept)?;
        self.holds_displaced = false;
        place.discard(fs, &slot)?;
        self.displaced.extend(RelPath::in_folder(path.parent().as_ref(), &kept));
        Ok(None)
    }

    /// Takes a staged file away that got no name. Never what it displaced: that waits for the next run, which moves it into the
    /// trash.
    fn unstage(&mut self, name: &str) -> Result<(), Error> {
        if std::mem::take(&mut self.holds_displaced) {
            return Ok(());
        }
        match self.side.fs().remove_file(self.side.stage(), name.as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("take a staged file away")(error)),
        }
    }
}
