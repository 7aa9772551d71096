//! Files below a folder, and never outside: every step of a path is opened relative to the one before, without following
//! links. A link that somebody plants is an error, not a way out.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, RenameFlags, Stat},
    io::Errno,
};
use time::OffsetDateTime;

use crate::domain::{
    session::FileKind,
    zone_files::{ZoneFile, ZonePath},
};

const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Descriptor of a zone's folder, or of one below it.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

impl Folder {
    /// A folder of our own, trusted by its path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    fn child(&self, part: &[u8]) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name(part), FOLDER, Mode::empty())?))
    }

    /// A folder below this one.
    pub(super) fn at(&self, path: &ZonePath) -> io::Result<Self> {
        let mut here = Self(self.0.try_clone()?);
        for part in path.components() {
            here = here.child(part)?;
        }
        Ok(here)
    }

    /// As [`Self::at`], making what is missing.
    pub(super) fn make(&self, path: &ZonePath) -> io::Result<Self> {
        let mut here = Self(self.0.try_clone()?);
        for part in path.components() {
            match rustix::fs::mkdirat(&here.0, name(part), Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = here.child(part)?;
        }
        Ok(here)
    }

    pub(super) fn stat(&self, part: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, name(part), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// A regular file for reading. What is no regular file is refused before a byte is read.
    pub(super) fn read(&self, part: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&self.0, name(part), flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    pub(super) fn link_target(&self, part: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name(part), Vec::new())?.into_bytes())
    }

    /// A new file that nobody else has; mode as the user's mask says.
    pub(super) fn create(&self, part: &[u8], executable: bool) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        Ok(File::from(rustix::fs::openat(&self.0, name(part), flags, mode)?))
    }

    pub(super) fn create_link(&self, part: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(name(target), &self.0, name(part))?)
    }

    /// To where nothing is yet.
    pub(super) fn rename_new(&self, from: &[u8], to: &Self, part: &[u8]) -> io::Result<()> {
        self.rename(from, to, part, RenameFlags::NOREPLACE)
    }

    /// Both stay, in each other's place.
    pub(super) fn exchange(&self, from: &[u8], to: &Self, part: &[u8]) -> io::Result<()> {
        self.rename(from, to, part, RenameFlags::EXCHANGE)
    }

    fn rename(&self, from: &[u8], to: &Self, part: &[u8], flags: RenameFlags) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(&self.0, name(from), &to.0, name(part), flags)?)
    }

    /// A file only.
    pub(super) fn unlink(&self, part: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name(part), AtFlags::empty())?)
    }

    /// A file, or a folder with all that is in it.
    pub(super) fn remove_all(&self, part: &[u8]) -> io::Result<()> {
        if FileType::from_raw_mode(self.stat(part)?.st_mode) != FileType::Directory {
            return self.unlink(part);
        }
        let inside = self.child(part)?;
        for (entry, _) in inside.entries()? {
            inside.remove_all(&entry)?;
        }
        Ok(rustix::fs::unlinkat(&self.0, name(part), AtFlags::REMOVEDIR)?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Names with their state, by name. What vanishes meanwhile is left out.
    pub(super) fn entries(&self) -> io::Result<Vec<(Vec<u8>, Stat)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let part = entry.file_name().to_bytes();
            if matches!(part, b"." | b"..") {
                continue;
            }
            match rustix::fs::statat(&self.0, name(part), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((part.to_vec(), stat)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }
}

pub(super) fn kind(mode: RawMode) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => FileKind::Other,
    }
}

pub(super) fn executable(mode: RawMode) -> bool {
    mode & 0o100 != 0
}

pub(super) fn zone_file(path: ZonePath, stat: &Stat) -> ZoneFile {
    let kind = kind(stat.st_mode);
    let modified = OffsetDateTime::from_unix_timestamp(stat.st_mtime)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .saturating_add(time::Duration::nanoseconds(
            i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ));
    ZoneFile {
        path,
        kind,
        size: if kind == FileKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        modified_at: modified,
        executable: kind == FileKind::File && executable(stat.st_mode),
    }
}

/// A whole small file of ours, by temporary name, flush and rename.
pub(super) fn write_small(folder: &Folder, part: &[u8], content: &[u8]) -> io::Result<()> {
    let temporary = [part, b".new"].concat();
    match folder.unlink(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = folder.create(&temporary, false)?;
    file.write_all(content)?;
    file.sync_all()?;
    rustix::fs::renameat(&folder.0, name(&temporary), &folder.0, name(part))?;
    folder.sync()
}
