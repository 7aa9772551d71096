//! A file system on which the engine dies, or the disk is full, at a chosen moment. For tests, of this crate and of its users.

use std::{
    fs::File,
    io,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::io::Errno;

use super::{FileSystem, RealFileSystem};

/// What happens when the effects are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing has any effect any more, as after `kill -9`; a write that was going on is half done.
    Killed,
    /// Nothing can be created, and of what is written only half is; the rest works.
    DiskFull,
}

/// Passes so many effects on to the real one, then fails.
#[derive(Debug)]
pub struct FaultyFileSystem {
    fault: Fault,
    left: AtomicU64,
    used: AtomicU64,
    failed: AtomicU64,
}

impl FaultyFileSystem {
    pub fn new(fault: Fault, effects: u64) -> Self {
        Self {
            fault,
            left: AtomicU64::new(effects),
            used: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// How many effects there were.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    fn effect(&self, needs_room: bool) -> io::Result<()> {
        let took = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let error = match (took, self.fault) {
            (true, _) => None,
            (false, Fault::DiskFull) if !needs_room => None,
            (false, Fault::DiskFull) => Some(Errno::NOSPC.into()),
            (false, Fault::Killed) => Some(io::Error::other("killed by the test")),
        };
        if let Some(error) = error {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(error);
        }
        self.used.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl FileSystem for FaultyFileSystem {
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File> {
        self.effect(true)?;
        RealFileSystem.create(folder, name, executable)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.effect(true) {
            // As much as there is room for; and whoever is killed may be in the middle of it.
            if self.fault == Fault::DiskFull || self.failed.load(Ordering::SeqCst) == 1 {
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                RealFileSystem.write(file, half, offset)?;
            }
            return Err(error);
        }
        RealFileSystem.write(file, bytes, offset)
    }

    fn copy(
        &self,
        file: &File,
        offset: u64,
        from: &File,
        begin: u64,
        length: u64,
    ) -> io::Result<()> {
        self.effect(true)?;
        RealFileSystem.copy(file, offset, from, begin, length)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.set_len(file, len)
    }

    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.set_executable(file, executable)
    }

    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.set_modified(file, modified)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.sync_file(file)
    }

    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.sync_folder(folder)
    }

    fn sync_all(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.sync_all(folder)
    }

    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect(true)?;
        RealFileSystem.make_folder(folder, name)
    }

    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.remove_folder(folder, name)
    }

    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.effect(true)?;
        RealFileSystem.make_link(folder, name, target)
    }

    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.remove_file(folder, name)
    }

    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.rename_new(from, name, to, new_name)
    }

    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()> {
        self.effect(false)?;
        RealFileSystem.exchange(from, name, to, other)
    }

    fn record(&self) -> io::Result<()> {
        self.effect(false)
    }
}
