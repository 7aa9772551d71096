//! Where files are staged and where what they displace goes: on the root's own file system, since only there a rename is one
//! step.
//!
//! ```text
//! stage/<id>             a new file before it has its name; after an exchange, what had that name before
//! trash/<time>-<id>/     note.json, written before the exchange; then `thing`, moved in from stage/<id>
//! ```
//! So whatever a crash leaves in the staging folder is either new (no note: removed) or may be something that was displaced
//! (a note: moved into the trash).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx};

use super::Layout;
use crate::{
    RelPath,
    fs::{FileSystem, Root, Stamp, names},
    index::RESERVED,
    trash,
};

pub(crate) const THING: &[u8] = b"thing";
const STAGE: &str = "stage";
const TRASH: &str = "trash";

/// Folders for what is not yet, and for what is no more.
pub(crate) struct Place {
    stage: OwnedFd,
    trash: OwnedFd,
    /// Begins the names of this run.
    run: String,
    next: std::cell::Cell<u64>,
}

/// A place in the trash that waits for its thing.
pub(crate) struct Slot {
    pub folder: OwnedFd,
    name: String,
}

fn make_and_open(fs: &dyn FileSystem, folder: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    match fs.make_folder(folder, name.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

/// Renames work between two folders of one mount.
fn mount(folder: BorrowedFd<'_>) -> io::Result<(u32, u32, u64)> {
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
        let place =
            Self { stage, trash, run: trash::random_name()?, next: std::cell::Cell::new(0) };
        place.clean(fs)?;
        Ok(place)
    }

    pub(crate) fn stage(&self) -> BorrowedFd<'_> {
        self.stage.as_fd()
    }

    /// A name that nothing has.
    pub(crate) fn new_name(&self) -> String {
        let number = self.next.get();
        self.next.set(number + 1);
        format!("{}-{number}", self.run)
    }

    /// The clock that stamps of files come from.
    pub(crate) fn file_system_now(&self, fs: &dyn FileSystem) -> io::Result<i64> {
        let name = self.new_name();
        let file = fs.create(self.stage(), name.as_bytes(), false)?;
        let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
        fs.remove_file(self.stage(), name.as_bytes())?;
        Ok(stamp.ctime_ns)
    }

    /// Prepares the trash for what is at `path`; `name` is that of the staged file that will displace it.
    pub(crate) fn slot(
        &self,
        fs: &dyn FileSystem,
        name: &str,
        path: &RelPath,
        reason: &str,
        now_s: u64,
    ) -> io::Result<Slot> {
        let id = format!("{now_s}-{name}");
        let folder = make_and_open(fs, self.trash.as_fd(), &id)?;
        trash::write_note(fs, folder.as_fd(), path, reason, now_s)?;
        Ok(Slot { folder, name: id })
    }

    /// The thing never came.
    pub(crate) fn discard(&self, fs: &dyn FileSystem, slot: &Slot) -> io::Result<()> {
        fs.remove_file(slot.folder.as_fd(), trash::NOTE)?;
        fs.remove_folder(self.trash.as_fd(), slot.name.as_bytes())
    }

    pub(crate) fn trash(&self) -> BorrowedFd<'_> {
        self.trash.as_fd()
    }

    /// Puts in order what an interrupted run left.
    fn clean(&self, fs: &dyn FileSystem) -> io::Result<()> {
        let left = names(self.stage())?;
        if left.is_empty() {
            return Ok(());
        }
        let slots = names(self.trash.as_fd())?;
        for name in left {
            let slot = slots.iter().find(|slot| {
                slot.iter().position(|&byte| byte == b'-').and_then(|at| slot.get(at + 1..))
                    == Some(name.as_slice())
            });
            let Some(slot) = slot else {
                fs.remove_file(self.stage(), &name)?;
                continue;
            };
            let folder = openat(
                &self.trash,
                slot.as_slice(),
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            match fs.rename_new(self.stage(), &name, folder.as_fd(), THING) {
                Ok(()) => {}
                // It had its thing already: this one was about to be new.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs.remove_file(self.stage(), &name)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
