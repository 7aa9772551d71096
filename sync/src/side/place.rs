//! Where files are staged and where what they displace goes: on the root's own file system, since only there a rename is one
//! step.
//!
//! ```text
//! stage/<id>, stage/<n>/<id>   a new file or folder before it has its name; after an exchange, what had that name before
//! trash/<time>-<id>/           notes, written before the first exchange; then the things, moved in from the stage or the root
//! ```
//! So whatever a crash leaves in the staging folder is either new (no note: removed) or may be something that was displaced
//! (a note: moved into the trash).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::Layout;
use crate::{
    RelPath,
    fs::{FileSystem, Found, Root, names, open_folder_in},
    index::RESERVED,
    trash,
};

const STAGE: &str = "stage";
const TRASH: &str = "trash";
/// Names of runs have no capitals.
const SHELF: &str = "SHELF-";

/// Folders for what is not yet, and for what is no more.
pub(crate) struct Place {
    stage: Root,
    /// Parts of the staging folder, one for each thread that writes.
    shelves: OnceLock<Vec<OwnedFd>>,
    trash: OwnedFd,
    /// Begins the names of this run.
    run: String,
    next: AtomicU64,
}

/// A folder of the trash that waits for things, which are named in its notes.
pub(crate) struct Batch {
    pub folder: OwnedFd,
    pub notes: std::fs::File,
    name: String,
}

fn make_and_open(fs: &dyn FileSystem, folder: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    match fs.make_folder(folder, name.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    open_folder_in(folder, name.as_bytes())
}

/// Renames work between two folders of one mount.
pub(crate) fn mount(folder: BorrowedFd<'_>) -> io::Result<(u32, u32, u64)> {
    let stat =
        statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
    Ok((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_mnt_id))
}

impl Place {
    pub(crate) fn open(root: &Root, layout: &Layout<'_>, fs: &dyn FileSystem) -> io::Result<Self> {
        let state = Root::open(layout.state_dir)?;
        let inside = std::str::from_utf8(RESERVED).expect("ASCII");
        let home = if mount(state.fd())? == mount(root.fd())? {
            state.folder(None)?
        } else {
            make_and_open(fs, root.fd(), inside)?
        };
        let stage = make_and_open(fs, home.as_fd(), STAGE)?;
        let trash = match layout.trash {
            None => make_and_open(fs, home.as_fd(), TRASH)?,
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Root::open(path)?.folder(None)?
            }
        };
        let place = Self {
            stage: Root::of(stage),
            shelves: OnceLock::new(),
            trash,
            run: trash::random_name()?,
            next: AtomicU64::new(0),
        };
        place.clean(fs)?;
        Ok(place)
    }

    pub(crate) fn stage(&self) -> BorrowedFd<'_> {
        self.stage.fd()
    }

    /// A folder in the staging folder; `None`: that itself.
    pub(crate) fn staged(&self, at: Option<&RelPath>) -> io::Result<OwnedFd> {
        self.stage.folder(at)
    }

    /// A part of the staging folder; 0 is the folder itself.
    pub(crate) fn shelf(&self, number: usize) -> BorrowedFd<'_> {
        let shelf = number.checked_sub(1).and_then(|at| self.shelves.get()?.get(at));
        shelf.map_or(self.stage(), AsFd::as_fd)
    }

    /// Makes shelves, once.
    pub(crate) fn shelves(&self, fs: &dyn FileSystem, count: usize) -> io::Result<&[OwnedFd]> {
        if let Some(shelves) = self.shelves.get() {
            return Ok(shelves);
        }
        let made: io::Result<Vec<OwnedFd>> = (0..count)
            .map(|number| make_and_open(fs, self.stage(), &format!("{SHELF}{number}")))
            .collect();
        let made = made?;
        Ok(self.shelves.get_or_init(|| made))
    }

    /// A name that nothing has.
    pub(crate) fn new_name(&self) -> String {
        format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The clock that stamps of files come from.
    pub(crate) fn file_system_now(&self, fs: &dyn FileSystem) -> io::Result<i64> {
        let name = self.new_name();
        let file = fs.create(self.stage(), name.as_bytes(), false)?;
        let stamp = Found::of_file(&file)?.stamp;
        fs.remove_file(self.stage(), name.as_bytes())?;
        Ok(stamp.ctime_ns)
    }

    /// Prepares the trash for things that will come.
    pub(crate) fn batch(
        &self,
        fs: &dyn FileSystem,
        notes: &[trash::Note],
        now_s: u64,
    ) -> io::Result<Batch> {
        let name = format!("{now_s}-{}", self.new_name());
        let folder = make_and_open(fs, self.trash.as_fd(), &name)?;
        let notes = trash::write_notes(fs, folder.as_fd(), notes)?;
        Ok(Batch { folder, notes, name })
    }

    /// Nothing came.
    pub(crate) fn discard(&self, fs: &dyn FileSystem, batch: &Batch) -> io::Result<()> {
        fs.remove_file(batch.folder.as_fd(), trash::NOTES)?;
        fs.remove_folder(self.trash.as_fd(), batch.name.as_bytes())
    }

    pub(crate) fn trash(&self) -> BorrowedFd<'_> {
        self.trash.as_fd()
    }

    /// Puts in order what an interrupted run left.
    fn clean(&self, fs: &dyn FileSystem) -> io::Result<()> {
        let mut left = Vec::new();
        for name in names(self.stage())? {
            if name.starts_with(SHELF.as_bytes()) {
                let shelf = open_folder_in(self.stage(), &name)?;
                let on_it = names(shelf.as_fd())?;
                if !on_it.is_empty() {
                    left.push((shelf, on_it));
                }
            } else {
                left.push((self.staged(None)?, vec![name]));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let batches = names(self.trash.as_fd())?;
        for (folder, on_it) in left {
            for name in on_it {
                self.put_away(fs, folder.as_fd(), &name, &batches)?;
            }
        }
        Ok(())
    }

    fn put_away(
        &self,
        fs: &dyn FileSystem,
        folder: BorrowedFd<'_>,
        name: &[u8],
        batches: &[Vec<u8>],
    ) -> io::Result<()> {
        let run = name.iter().position(|&byte| byte == b'-').and_then(|end| name.get(..end));
        let of_its_run = batches.iter().filter(|batch| {
            let rest =
                batch.iter().position(|&byte| byte == b'-').and_then(|at| batch.get(at + 1..));
            run.is_some_and(|run| rest.is_some_and(|rest| rest.starts_with(run)))
        });
        for batch in of_its_run {
            let batch = open_folder_in(self.trash.as_fd(), batch)?;
            let is_noted =
                trash::read_notes(batch.as_fd())?.iter().any(|note| note.thing.as_bytes() == name);
            if !is_noted {
                continue;
            }
            return match fs.rename_new(folder, name, batch.as_fd(), name) {
                // It had its thing already: this one was about to be new.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    trash::remove_all(folder, name, fs)
                }
                done => done,
            };
        }
        trash::remove_all(folder, name, fs)
    }
}
