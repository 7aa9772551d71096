//! The real file system, with somebody in between who may refuse an effect, do something else first, or do it in another way.

use std::{fs::File, io, os::fd::BorrowedFd, sync::Arc, time::Duration};

use sync::{FileSystem, RealFileSystem};

/// What is about to happen. Names are in the folder before them.
pub enum Effect<'a> {
    Create(BorrowedFd<'a>, &'a [u8]),
    Write(&'a File, &'a [u8], u64),
    /// So many bytes at an offset.
    Copy(&'a File, u64, u64),
    SetExecutable,
    Sync,
    MakeFolder(BorrowedFd<'a>, &'a [u8]),
    RemoveFolder,
    MakeLink(BorrowedFd<'a>, &'a [u8]),
    RemoveFile,
    RenameNew(BorrowedFd<'a>, &'a [u8], BorrowedFd<'a>, &'a [u8]),
    Exchange(BorrowedFd<'a>, &'a [u8], BorrowedFd<'a>, &'a [u8]),
    Record,
    Other,
}

/// What becomes of it.
pub enum Instead {
    /// As it was meant.
    Go,
    /// It was seen to.
    Done,
}

/// In front of the real file system, or of another one.
pub struct Interpose<F> {
    before: F,
    then: Arc<dyn FileSystem>,
}

impl<F> Interpose<F> {
    pub fn new(before: F) -> Self {
        Self::before(before, Arc::new(RealFileSystem))
    }

    pub fn before(before: F, then: Arc<dyn FileSystem>) -> Self {
        Self { before, then }
    }
}

impl<F> Interpose<F>
where
    F: Fn(Effect<'_>) -> io::Result<Instead> + Send + Sync,
{
    fn or(&self, effect: Effect<'_>, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match (self.before)(effect)? {
            Instead::Go => real(),
            Instead::Done => Ok(()),
        }
    }
}

impl<F> FileSystem for Interpose<F>
where
    F: Fn(Effect<'_>) -> io::Result<Instead> + Send + Sync,
{
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File> {
        (self.before)(Effect::Create(folder, name))?;
        self.then.create(folder, name, executable)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let effect = Effect::Write(file, bytes, offset);
        self.or(effect, || self.then.write(file, bytes, offset))
    }

    fn copy(
        &self,
        file: &File,
        offset: u64,
        from: &File,
        begin: u64,
        length: u64,
    ) -> io::Result<()> {
        let copy = || self.then.copy(file, offset, from, begin, length);
        self.or(Effect::Copy(file, offset, length), copy)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.or(Effect::Other, || self.then.set_len(file, len))
    }

    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()> {
        self.or(Effect::SetExecutable, || self.then.set_executable(file, executable))
    }

    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()> {
        self.or(Effect::Other, || self.then.set_modified(file, modified))
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.or(Effect::Sync, || self.then.sync_file(file))
    }

    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.or(Effect::Sync, || self.then.sync_folder(folder))
    }

    fn sync_all(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.or(Effect::Sync, || self.then.sync_all(folder))
    }

    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.or(Effect::MakeFolder(folder, name), || self.then.make_folder(folder, name))
    }

    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.or(Effect::RemoveFolder, || self.then.remove_folder(folder, name))
    }

    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.or(Effect::MakeLink(folder, name), || self.then.make_link(folder, name, target))
    }

    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.or(Effect::RemoveFile, || self.then.remove_file(folder, name))
    }

    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()> {
        let effect = Effect::RenameNew(from, name, to, new_name);
        self.or(effect, || self.then.rename_new(from, name, to, new_name))
    }

    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()> {
        let effect = Effect::Exchange(from, name, to, other);
        self.or(effect, || self.then.exchange(from, name, to, other))
    }

    fn record(&self) -> io::Result<()> {
        self.or(Effect::Record, || self.then.record())
    }
}
