//! Whether a folder is just what was agreed of another path.

use std::os::fd::{AsFd, BorrowedFd};

use super::{
    Known,
    hash::{Hashed, hash},
    moved::Candidate,
    queue::Task,
    visit::{DEEPEST, Visitor},
};
use crate::{
    RelPath,
    error::Error,
    fs::{Found, What, look_in, names, open_in},
    path::Joined,
    state::Remembered,
};

impl Visitor<'_> {
    /// Looks at one folder of a candidate, which was `before`, and gives those in it away.
    pub(super) fn is_same(
        &mut self,
        candidate: &Candidate,
        number: usize,
        folder: &RelPath,
        before: &RelPath,
    ) -> Result<(), Error> {
        if candidate.is_same() && !self.compare_same(candidate, number, folder, before)? {
            candidate.differs();
        }
        Ok(())
    }

    fn compare_same(
        &mut self,
        candidate: &Candidate,
        number: usize,
        folder: &RelPath,
        before: &RelPath,
    ) -> Result<bool, Error> {
        // Where it can't be read, the look path by path tells why.
        if folder.ancestors().count() >= DEEPEST {
            return Ok(false);
        }
        let Ok(fd) = self.scanning.root.folder(Some(folder)) else { return Ok(false) };
        if let Some(look) = self.scanning.look {
            look.watch(Some(folder), fd.as_fd());
        }
        let Ok(names) = names(fd.as_fd()) else { return Ok(false) };
        // Nothing may be left of what was here.
        if self.scanning.memory.folder(Some(folder))?.next()?.is_some() {
            return Ok(false);
        }
        let mut cursor = self.scanning.memory.folder(Some(before))?;
        let mut known = cursor.next()?;
        let (mut here, mut there) = (Joined::new(Some(folder)), Joined::new(Some(before)));
        let (mut folders, mut entries) = (Vec::new(), 0);
        for name in &names {
            let path = here.with(name);
            let what = match known.take_if(|(same, _)| same == name) {
                Some((_, what)) => {
                    known = cursor.next()?;
                    Some(what)
                }
                None => None,
            };
            let Ok(Some(found)) = look_in(fd.as_fd(), name) else { return Ok(false) };
            let is_folder = found.what == What::Folder;
            let is_excluded = self.scanning.exclusions.matches_bytes(path, is_folder);
            let Some(what) = what else {
                // What is nobody's business comes along.
                if is_excluded {
                    continue;
                }
                return Ok(false);
            };
            if is_excluded
                || RelPath::check_length(path).is_err()
                || !self.is_as_agreed(fd.as_fd(), name, &found, &what)?
            {
                return Ok(false);
            }
            entries += 1;
            if found.is_linked {
                self.part.scan.linked.insert(RelPath::joined(path));
            }
            if is_folder {
                let before = RelPath::joined(there.with(name));
                folders.push(Task::Same { number, folder: RelPath::joined(path), before });
            }
        }
        candidate.count(entries);
        self.queue.push(folders);
        Ok(known.is_none())
    }

    fn is_as_agreed(
        &self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        found: &Found,
        what: &Remembered,
    ) -> Result<bool, Error> {
        let Remembered { seen: Some(seen), agreed: Some(agreed) } = what else { return Ok(false) };
        let Known { entry, stamp, racy } = seen;
        let is_folder = found.what == What::Folder;
        let now = if is_folder { found.stamp.of_folder() } else { found.stamp };
        if entry != agreed || *stamp != now || entry.is_folder() != is_folder {
            return Ok(false);
        }
        if !racy {
            return Ok(true);
        }
        let (What::File, Ok(file)) = (found.what, open_in(folder, name)) else { return Ok(false) };
        match hash(&file, found.stamp, self.scanning.cancel) {
            Ok(Hashed::Stable(digest, stamp, _)) => {
                Ok(stamp == found.stamp && Some(digest) == agreed.digest())
            }
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Ok(Hashed::Busy) | Err(_) => Ok(false),
        }
    }
}
