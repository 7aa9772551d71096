//! Below one folder, and never outside it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        self as sys, AtFlags, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Stat, StatxFlags, statx,
    },
    io::Errno,
};

use serde::{Deserialize, Serialize};

use super::{Stamp, What};
use crate::RelPath;

/// Attempts when `openat2` says that something moved while it looked.
const ATTEMPTS: usize = 64;
/// `OVERLAYFS_SUPER_MAGIC`.
const OVERLAY: sys::FsWord = 0x794c_7630;

/// Never blocks on a pipe that took a file's place.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Of a folder's names, that the kernel gives at once.
const LISTING_BYTES: usize = 16 << 10;

/// A folder and everything below it.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
}

/// What tells one folder from another that has the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootIdentity {
    pub device: u64,
    pub inode: u64,
    /// Seconds and nanoseconds since 1970, where the file system keeps it: numbers are used again, and every volume's own root
    /// has the same.
    pub born: Option<(i64, u32)>,
}

/// What a path has. Two are equal that differ in other names alone: a look that went by what is remembered does not know of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub what: What,
    pub stamp: Stamp,
    /// A file that has other names too.
    pub is_linked: bool,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        (self.what, self.stamp) == (other.what, other.stamp)
    }
}

impl Eq for Found {}

impl Found {
    /// An open file as it is now.
    pub(crate) fn of_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&sys::fstat(file)?))
    }

    pub(crate) fn of(stat: &Stat) -> Self {
        let what = What::of(stat);
        Self { what, stamp: Stamp::of(stat), is_linked: what == What::File && stat.st_nlink > 1 }
    }
}

impl Root {
    /// The folder itself may be reached over links: it is the administrator's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: sys::open(path, flags, Mode::empty())? })
    }

    pub(crate) const fn of(folder: OwnedFd) -> Self {
        Self { fd: folder }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Which folder it is: a new one in its place is another, also where it got the same number.
    pub(crate) fn identity(&self) -> io::Result<RootIdentity> {
        let stat = sys::fstat(&self.fd)?;
        let marks = statx(&self.fd, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
        let is_known = marks.stx_mask & StatxFlags::BTIME.bits() != 0;
        // An overlay copies a folder into its upper layer at the first change, which gives it another birth.
        let is_overlay = sys::fstatfs(&self.fd)?.f_type == OVERLAY;
        let born =
            (is_known && !is_overlay).then_some((marks.stx_btime.tv_sec, marks.stx_btime.tv_nsec));
        Ok(RootIdentity { device: stat.st_dev, inode: stat.st_ino, born })
    }

    /// A folder below; `None` is the root itself.
    pub(crate) fn folder(&self, path: Option<&RelPath>) -> io::Result<OwnedFd> {
        match path {
            None => Ok(self.fd.try_clone()?),
            Some(path) => self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY),
        }
    }

    /// A file's content. Never blocks on a pipe that took the file's place.
    pub(crate) fn file(&self, path: &RelPath) -> io::Result<File> {
        self.resolve(path, FILE).map(File::from)
    }

    fn resolve(&self, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS {
            match sys::openat2(&self.fd, path.as_bytes(), flags, Mode::empty(), how) {
                Ok(fd) => return Ok(fd),
                // Something was renamed meanwhile.
                Err(Errno::AGAIN) => {}
                // An old kernel, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return walk(self.fd(), path, flags),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// One component after the other, none of them a link.
fn walk(root: BorrowedFd<'_>, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = root.try_clone_to_owned()?;
    let mut names = path.as_bytes().split(|&byte| byte == b'/').peekable();
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            None => flags,
        };
        at = sys::openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

/// Looks without following.
pub(crate) fn look_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Found>> {
    match sys::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Found::of(&stat))),
        Err(error) if is_absent(&error.into()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file's content, as [`Root::file`] opens it.
pub(crate) fn open_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = FILE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(sys::openat(folder, name, flags, Mode::empty())?))
}

/// A folder, as [`Root::folder`] opens it.
pub(crate) fn open_folder_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(sys::openat(folder, name, flags, Mode::empty())?)
}

/// A link's text.
pub(crate) fn read_link_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Box<[u8]>> {
    Ok(sys::readlinkat(folder, name, Vec::new())?.into_bytes().into())
}

/// Nothing is there, or what should be a folder on the way is none.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Without `.` and `..`, sorted.
pub(crate) fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    sys::seek(folder, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(LISTING_BYTES);
    let mut items = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut names: Vec<Vec<u8>> = Vec::new();
    while let Some(item) = items.next() {
        let name = item?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn no_link_is_followed_whichever_way_it_is_reached() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let inside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("way")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("file")).unwrap();
        let root = Root::open(inside.path()).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for text in ["way/secret", "file"] {
            let path = RelPath::try_from(text).unwrap();
            assert!(root.file(&path).is_err(), "{text}");
            assert!(walk(root.fd(), &path, flags).is_err(), "{text}");
        }
        let found = look_in(root.fd(), b"way").unwrap().unwrap();
        assert_eq!(found.what, What::Link);
    }

    #[test]
    fn the_walk_finds_what_openat2_finds() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), "text").unwrap();
        let root = Root::open(folder.path()).unwrap();
        let path = RelPath::try_from("a/b/c").unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let walked = File::from(walk(root.fd(), &path, flags).unwrap());
        let opened = root.file(&path).unwrap();
        assert_eq!(walked.metadata().unwrap().len(), opened.metadata().unwrap().len());
    }
}
