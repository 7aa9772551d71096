//! What both sides have: a root, a place for staging and trash beside it, a memory, and what the last look at the root showed.

mod gone;
mod moved;
mod place;
mod untouched;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub(crate) use moved::Spelled;
pub(crate) use place::{Batch, Place, mount};
pub(crate) use untouched::Untouched;

use crate::{
    RelPath,
    context::Context,
    entry::{Digest, Entry},
    error::Error,
    exclusions::Exclusions,
    fs::{FileSystem, Found, Root, Stamp, names},
    gone::GoneTrees,
    index::{Known, RESERVED, Scan, Scanned, Scanning, is_racy, scan},
    moves::Moves,
    state::{Memory, State, Update, Updates},
    watch::{Look, Seen},
};

/// How long it is waited for that stamps of large files tell something.
const WAIT: Duration = Duration::from_millis(5);
const MOST_WAITS: usize = 8;

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
    /// What the last look found to be elsewhere, whether or not it is told so.
    moved: Moves,
    /// Likewise, what is gone as a whole.
    gone: GoneTrees,
    /// As it was after the last look.
    pub memory: Memory,
    /// The file system's clock when the last look began.
    looked_ns: i64,
    /// As of the last look.
    pub exclusions: Exclusions,
    /// What this run made.
    pub untouched: Untouched,
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
        let (seen, memory) = (Scan::default(), state.memory()?);
        let (exclusions, untouched) = (Exclusions::none(), Untouched::default());
        let (moved, gone) = (Moves::default(), GoneTrees::default());
        let context = context.clone();
        Ok(Self {
            root,
            place,
            state,
            root_name,
            seen,
            moved,
            gone,
            memory,
            looked_ns: 0,
            exclusions,
            untouched,
            context,
        })
    }

    pub(crate) fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.context.fs
    }

    /// Looks at everything below the root, and remembers what it hashed. `is_agreed`: what was agreed before still counts.
    pub(crate) fn look(&mut self, exclusions: &Exclusions, is_agreed: bool) -> Result<(), Error> {
        let look = self.begin_look(exclusions, is_agreed)?;
        let (root, memory, cancel) = (&self.root, &self.memory, &self.context.cancel);
        let (state, now_ns) = (&self.state, self.looked_ns);
        self.seen = scan(Scanning {
            root,
            memory,
            state,
            exclusions,
            is_agreed,
            now_ns,
            cancel,
            look: look.as_ref(),
        })?;
        if look.as_ref().is_some_and(|look| !look.is_of_everything()) {
            self.seen.entries = self.entries()?;
        } else if is_agreed {
            self.check_count()?;
        }
        let unsettled = look.as_ref().map(|_| Seen::of(&self.seen));
        let learned = std::mem::take(&mut self.seen.learned);
        self.moved = self.seen.moved.clone();
        self.gone = self.seen.gone.clone();
        if !learned.is_empty() {
            self.state.learn(self.fs().as_ref(), &learned)?;
            self.memory = self.state.memory()?;
        }
        if let Some((look, unsettled)) = look.zip(unsettled) {
            look.end(unsettled);
        }
        Ok(())
    }

    /// Instead of a look, for whoever walks through everything. A watched root is watched from then on, once the walk ended; the
    /// next look is at everything.
    pub(crate) fn begin_walk(&mut self, exclusions: &Exclusions) -> Result<Option<Look>, Error> {
        self.begin_look(exclusions, false)
    }

    fn begin_look(
        &mut self,
        exclusions: &Exclusions,
        is_agreed: bool,
    ) -> Result<Option<Look>, Error> {
        self.exclusions = exclusions.clone();
        self.looked_ns = self.now()?;
        let watch = self.context.watch.as_ref();
        watch.map(|watch| watch.look(&self.root, exclusions, is_agreed)).transpose()
    }

    /// Whether nothing is there at first sight, even nothing that is excluded.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        let names = names(self.root.folder(None)?.as_fd())?;
        Ok(names.iter().all(|name| name == RESERVED))
    }

    /// Entries that are there and of which the memory knows nothing, or the other way round, show in their number alone: both sides
    /// would say that nothing is to do, and be apart.
    fn check_count(&self) -> Result<(), Error> {
        if !self.seen.unknown.is_empty() {
            return Ok(());
        }
        let expected = self.entries()?;
        if expected != self.seen.entries {
            tracing::warn!(seen = self.seen.entries, expected, "what is remembered may be wrong");
            self.state.distrust();
        }
        Ok(())
    }

    /// How many there are, where only what differs from what was agreed is known.
    fn entries(&self) -> Result<u64, Error> {
        let mut entries =
            self.state.agreed()?.map(|agreed| agreed.tally.entries).unwrap_or_default();
        for difference in self.seen.differences.values() {
            entries += u64::from(difference.now.is_some());
            entries = entries.saturating_sub(u64::from(difference.agreed.is_some()));
        }
        for folder in self.seen.gone.iter() {
            entries = entries.saturating_sub(self.agreed_count(folder)?);
        }
        Ok(entries)
    }

    /// What the last look saw at a path; `None`: nothing, or nothing is known.
    pub(crate) fn saw(&self, path: &RelPath) -> Result<Option<Scanned>, Error> {
        match self.seen.differences.get(path) {
            Some(difference) => Ok(difference.now.clone()),
            None => Ok(self.remembered(path)?.seen.map(Scanned::from)),
        }
    }

    /// What there is to remember of something that was read as the last look or walk saw it.
    pub(crate) fn read_since(&self, entry: &Entry, stamp: Stamp) -> Known {
        if entry.is_folder() {
            return Known { entry: Entry::Folder, stamp: stamp.of_folder(), racy: false };
        }
        Known { entry: entry.clone(), stamp, racy: is_racy(&stamp, self.looked_ns) }
    }

    /// The content of an open file, unless it is another than the last look saw at its path, or could be.
    pub(crate) fn still(&self, path: &RelPath, file: &File) -> Result<Option<Digest>, Error> {
        self.seems(path, file, |known| !known.racy)
    }

    /// The same where it could have been changed without a trace: for those who notice a content that is another.
    pub(crate) fn likely(&self, path: &RelPath, file: &File) -> Result<Option<Digest>, Error> {
        self.seems(path, file, |_| true)
    }

    fn seems(
        &self,
        path: &RelPath,
        file: &File,
        is_good: impl Fn(&Known) -> bool,
    ) -> Result<Option<Digest>, Error> {
        let stamp = Found::of_file(file).map_err(Error::at("look at", path))?.stamp;
        let known = self.remembered(path)?.seen;
        let known = known.filter(|known| is_good(known) && known.stamp == stamp);
        Ok(known.and_then(|known| known.entry.digest()))
    }

    /// What is known of what this run made, so that the next look need not read it. What was made in the last moment could have
    /// been changed without a trace: it is read again, unless it is large and the moment passed without anybody coming.
    pub(crate) fn known(&self, made: Vec<(RelPath, Option<Known>)>) -> Result<Updates, Error> {
        let now = self.now()?;
        let settled = self.settled(made.iter().filter_map(|(_, known)| known.as_ref()), now)?;
        let known = made.into_iter().map(|(path, known)| {
            let known = known.map(|known| {
                let racy = !known.entry.is_folder()
                    && is_racy(&known.stamp, now)
                    && (is_racy(&known.stamp, settled) || !self.untouched.holds(&known.stamp));
                Known { racy, ..known }
            });
            (path, Update::seen(known))
        });
        Ok(known.collect())
    }

    /// A moment that is later by what it takes for large files to be known for sure.
    fn settled<'k>(&self, made: impl Iterator<Item = &'k Known>, now: i64) -> Result<i64, Error> {
        let large: Vec<_> = made
            .filter(|known| is_racy(&known.stamp, now) && self.untouched.is_watched(&known.stamp))
            .collect();
        let mut settled = now;
        for _ in 0..MOST_WAITS {
            if !large.iter().any(|known| is_racy(&known.stamp, settled)) {
                break;
            }
            std::thread::sleep(WAIT);
            settled = self.now()?;
        }
        Ok(settled)
    }

    fn now(&self) -> Result<i64, Error> {
        self.place.file_system_now(self.fs().as_ref()).map_err(Error::io("tell the time"))
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
