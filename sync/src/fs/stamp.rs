//! What tells whether a file was changed.

use rustix::fs::{FileType, Stat};

/// A file's marks without its content. Equal marks mean the same content, unless the change was so recent that the file
/// system's clock had not moved on (see the index).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub size: u64,
    pub mtime_ns: i64,
    /// Also moves when the time of modification is set back.
    pub ctime_ns: i64,
    pub inode: u64,
    pub device: u64,
    pub executable: bool,
}

/// Neither file, folder nor link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Socket,
    Pipe,
    Device,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Folder,
    File,
    Link,
    Special(Special),
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            device: stat.st_dev,
            executable: stat.st_mode & 0o100 != 0,
        }
    }

    /// Still the same after a rename, which moves the time of status change on most file systems.
    pub(crate) fn same_but_renamed(&self, other: &Self) -> bool {
        Self { ctime_ns: 0, ..*self } == Self { ctime_ns: 0, ..*other }
    }

    /// Of a folder, which changes with all that is put into it, only what names it.
    pub(crate) fn of_folder(&self) -> Self {
        Self { inode: self.inode, device: self.device, ..Self::default() }
    }

    pub(crate) fn modified_ms(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000)
    }
}

fn nanoseconds(seconds: i64, nanoseconds: u64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(nanoseconds).unwrap_or(0))
}

impl What {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Folder,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            FileType::Socket => Self::Special(Special::Socket),
            FileType::Fifo => Self::Special(Special::Pipe),
            _ => Self::Special(Special::Device),
        }
    }
}

impl Special {
    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Socket => "a socket",
            Self::Pipe => "a named pipe",
            Self::Device => "a device",
        }
    }
}
