//! A disk that loses its power at a chosen effect: what was written and not yet brought onto it is empty afterwards, as
//! after a power cut on a file system that allocates late; names are where they were moved to.

use std::{
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    sync::Mutex,
    time::Duration,
};

use sync::{FileSystem, RealFileSystem};

#[derive(Debug)]
struct Left {
    effects: u64,
    /// Open files whose content is not on the disk yet.
    volatile: Vec<File>,
}

/// Passes so many effects on, then the power is gone.
#[derive(Debug)]
pub struct PowerLoss(Mutex<Left>);

impl PowerLoss {
    pub fn after(effects: u64) -> Self {
        Self(Mutex::new(Left { effects, volatile: Vec::new() }))
    }

    fn effect(&self) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        if let Some(effects) = left.effects.checked_sub(1) {
            left.effects = effects;
            return Ok(());
        }
        for file in left.volatile.drain(..) {
            file.set_len(0)?;
        }
        Err(io::Error::other("the power is gone"))
    }

    fn is_safe_now(&self, file: Option<&File>) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        let Some(file) = file else {
            left.volatile.clear();
            return Ok(());
        };
        let inode = file.metadata()?.ino();
        left.volatile.retain(|other| other.metadata().is_ok_and(|other| other.ino() != inode));
        Ok(())
    }
}

impl FileSystem for PowerLoss {
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File> {
        self.effect()?;
        let file = RealFileSystem.create(folder, name, executable)?;
        self.0.lock().unwrap().volatile.push(file.try_clone()?);
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.effect()?;
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
        self.effect()?;
        RealFileSystem.copy(file, offset, from, begin, length)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.set_len(file, len)
    }

    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.set_executable(file, executable)
    }

    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.set_modified(file, modified)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.effect()?;
        self.is_safe_now(Some(file))
    }

    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.sync_folder(folder)
    }

    fn sync_all(&self, _folder: BorrowedFd<'_>) -> io::Result<()> {
        self.effect()?;
        self.is_safe_now(None)
    }

    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.make_folder(folder, name)
    }

    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.remove_folder(folder, name)
    }

    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.make_link(folder, name, target)
    }

    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.remove_file(folder, name)
    }

    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.rename_new(from, name, to, new_name)
    }

    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()> {
        self.effect()?;
        RealFileSystem.exchange(from, name, to, other)
    }

    fn record(&self) -> io::Result<()> {
        self.effect()
    }
}
