//! A whole folder gets another path.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::hand::{Hand, Spot, skip};
use crate::{
    RelPath,
    fs::{Found, What, look_in, names, open_folder_in},
    path::Joined,
    plan::Ended,
};

impl Hand<'_> {
    /// By one rename: whatever somebody writes within meanwhile comes along.
    pub(super) fn move_folder(&mut self, spot: &Spot<'_>, from: &RelPath) -> io::Result<Ended> {
        let (parent, name) = from.split();
        let folder = self.side.root.folder(parent.as_ref())?;
        let is_it = |found: Option<Found>| {
            found.zip(spot.expected).is_some_and(|(found, expected)| {
                (found.what, expected.what) == (What::Folder, What::Folder)
                    && found.stamp.of_folder() == expected.stamp.of_folder()
            })
        };
        if !is_it(look_in(folder.as_fd(), name)?) {
            return Ok(Ended::Changed);
        }
        let exclusions = &self.side.exclusions;
        if !exclusions.is_empty()
            && (exclusions.excludes(from, true)
                || exclusions.excludes(spot.path, true)
                || self.is_excluded_in_one(folder.as_fd(), from, spot.path)?)
        {
            return Ok(Ended::Skipped("other things would be excluded there".to_owned()));
        }
        let fs = self.side.fs();
        match fs.rename_new(folder.as_fd(), name, spot.folder, spot.name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(Ended::Changed);
            }
            Err(error) => return Ok(skip(&error)),
        }
        let found = look_in(spot.folder, spot.name)?;
        if !is_it(found) {
            // Another one came in between. Wherever it is now, the next look sees it.
            fs.rename_new(spot.folder, spot.name, folder.as_fd(), name)?;
            return Ok(Ended::Changed);
        }
        // What is remembered moves too, when both sides agree.
        self.made.extend([(from.clone(), None), (spot.path.clone(), found)]);
        Ok(Ended::Done)
    }

    /// Whether something in a folder is excluded here, and would not be there, or the other way round.
    fn is_excluded_in_one(
        &self,
        above: BorrowedFd<'_>,
        here: &RelPath,
        there: &RelPath,
    ) -> io::Result<bool> {
        let exclusions = &self.side.exclusions;
        let mut waiting =
            vec![(open_folder_in(above, here.parts().1)?, here.clone(), there.clone())];
        while let Some((folder, here, there)) = waiting.pop() {
            let (mut at, mut then) = (Joined::new(Some(&here)), Joined::new(Some(&there)));
            for name in names(folder.as_fd())? {
                let found = look_in(folder.as_fd(), &name)?;
                let is_folder = found.is_some_and(|found| found.what == What::Folder);
                let (at, then) = (at.with(&name), then.with(&name));
                let is_excluded = exclusions.matches_bytes(at, is_folder);
                if is_excluded != exclusions.matches_bytes(then, is_folder) {
                    return Ok(true);
                }
                if is_folder && !is_excluded {
                    let paths = (RelPath::try_from(at), RelPath::try_from(then));
                    let (Ok(at), Ok(then)) = paths else { return Ok(true) };
                    waiting.push((open_folder_in(folder.as_fd(), &name)?, at, then));
                }
            }
        }
        Ok(false)
    }
}
