//! The edge to the file system.
//!
//! * [`FileSystem`]: every effect that the engine has on a disk, one method each, so that a test can end the engine before any
//!   of them ([`FaultyFileSystem`]). Reading needs no such care and is done directly.
//! * [`Root`]: everything below one folder, reached through its descriptor: no symbolic link is ever followed, whoever swaps
//!   folders meanwhile.

mod fault;
mod real;
mod root;
mod stamp;

pub use fault::{Fault, FaultyFileSystem};
pub use real::RealFileSystem;
pub(crate) use root::{
    Found, Root, RootIdentity, is_absent, look_in, names, open_folder_in, open_in, read_link_in,
};
pub(crate) use stamp::{Stamp, What};

use std::{fs::File, io, os::fd::BorrowedFd, time::Duration};

/// Effects. Names are single components within the folder whose descriptor comes before them. Not one follows a link.
pub trait FileSystem: Send + Sync {
    /// A new file, opened for writing and reading.
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File>;
    /// All of `bytes` at `offset`.
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// So many bytes of another file at `offset`, from `begin` of that on; shared where the file system can.
    /// `UnexpectedEof` where it has not so many.
    fn copy(
        &self,
        file: &File,
        offset: u64,
        from: &File,
        begin: u64,
        length: u64,
    ) -> io::Result<()>;
    /// Sets the length; what was not written reads as zeros.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()>;
    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()>;
    /// Since 1970; the time of the last access becomes the same.
    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()>;
    /// Content on the disk, before it becomes visible.
    fn sync_file(&self, file: &File) -> io::Result<()>;
    /// A folder's names on the disk.
    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()>;
    /// Everything of the file system that the folder is on.
    fn sync_all(&self, folder: BorrowedFd<'_>) -> io::Result<()>;
    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()>;
    /// Only when it is empty.
    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()>;
    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()>;
    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()>;
    /// `AlreadyExists` when something has the new name.
    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()>;
    /// Both names exist before and after. `Unsupported` or `InvalidInput` where the file system can't.
    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()>;
    /// What the engine remembers is about to be written.
    fn record(&self) -> io::Result<()>;
}
