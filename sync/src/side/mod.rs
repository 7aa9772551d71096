//! What both sides have: a root, a place for staging and trash beside it, a memory, and what the last look at the root showed.

mod place;

use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use place::{Place, THING};

use crate::{
    context::Context,
    error::Error,
    exclusions::Exclusions,
    fs::{FileSystem, Root},
    index::{Known, Scan, is_racy, scan},
    state::State,
};

/// Where a side lies.
pub(crate) struct Layout<'a> {
    pub root: &'a Path,
    pub state_dir: &'a Path,
    /// `None`: beside what is staged.
    pub trash: Option<&'a Path>,
    pub identity: &'a str,
}

/// A side that is being worked on.
pub(crate) struct Side {
    pub root: Root,
    pub place: Place,
    pub state: State,
    /// Random name of the root; changes with the folder and with the identity.
    pub root_name: [u8; 16],
    pub seen: Scan,
    pub context: Context,
}

impl Side {
    /// Makes the root where there is none, and puts in order what an interrupted run left.
    pub(crate) fn open(layout: &Layout<'_>, context: &Context) -> Result<Self, Error> {
        std::fs::create_dir_all(layout.root)
            .map_err(Error::io("make the folder to synchronise"))?;
        let root = Root::open(layout.root).map_err(Error::io("open the folder to synchronise"))?;
        let state = State::open(layout.state_dir)?;
        let identity = root.identity().map_err(Error::io("look at the folder to synchronise"))?;
        let root_name = state.root_name(context.fs.as_ref(), layout.identity, identity)?;
        let place = Place::open(&root, layout, context.fs.as_ref())
            .map_err(Error::io("prepare the staging folder"))?;
        Ok(Self { root, place, state, root_name, seen: Scan::default(), context: context.clone() })
    }

    pub(crate) fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.context.fs
    }

    /// Looks at everything below the root, and remembers what it hashed.
    pub(crate) fn look(&mut self, exclusions: &Exclusions) -> Result<(), Error> {
        let now =
            self.place.file_system_now(self.fs().as_ref()).map_err(Error::io("tell the time"))?;
        let index = self.state.index()?;
        self.seen = scan(&self.root, &index, exclusions, now, &self.context.cancel)?;
        drop(index);
        let learned = std::mem::take(&mut self.seen.learned);
        self.state.write_index(self.fs().as_ref(), &learned)
    }

    /// Remembers what this run made, so that the next look need not read it: only what still is as it was made.
    pub(crate) fn remember(&self, made: Vec<(crate::RelPath, Known)>) -> Result<(), Error> {
        let now =
            self.place.file_system_now(self.fs().as_ref()).map_err(Error::io("tell the time"))?;
        let mut known = Vec::with_capacity(made.len());
        for (path, entry) in made {
            let still = self.root.look(&path).ok().flatten();
            if still.is_some_and(|found| found.stamp == entry.stamp) {
                let racy = is_racy(&entry.stamp, now);
                known.push((path, Some(Known { racy, ..entry })));
            }
        }
        self.state.write_index(self.fs().as_ref(), &known)
    }

    pub(crate) fn stage(&self) -> BorrowedFd<'_> {
        self.place.stage()
    }
}

/// Whether a path can be used as it is, or says why not.
pub(crate) fn absolute(path: &Path, what: &str) -> Result<PathBuf, Error> {
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    Err(Error::Io {
        what: format!("{what} must be an absolute path, not {}", path.display()),
        source: std::io::ErrorKind::InvalidInput.into(),
    })
}
