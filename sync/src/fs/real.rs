//! Effects on the machine's disks.

use std::{
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
    time::Duration,
};

use rustix::{
    fs::{self as sys, AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps},
    io::Errno,
};

use super::FileSystem;

const COPY_BYTES: usize = 256 << 10;

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        Ok(File::from(sys::openat(folder, name, flags, mode)?))
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn copy(
        &self,
        file: &File,
        mut offset: u64,
        from: &File,
        mut begin: u64,
        length: u64,
    ) -> io::Result<()> {
        let end = begin.saturating_add(length);
        while begin < end {
            let left = usize::try_from(end - begin).unwrap_or(usize::MAX);
            match sys::copy_file_range(from, Some(&mut begin), file, Some(&mut offset), left) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                // Between these two the kernel can't.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    return through_memory(file, offset, from, begin, end);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()> {
        let mode = sys::fstat(file)?.st_mode & 0o7777;
        let wanted = if executable { mode | ((mode & 0o444) >> 2) } else { mode & !0o111 };
        if wanted != mode {
            sys::fchmod(file, Mode::from_raw_mode(wanted))?;
        }
        Ok(())
    }

    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()> {
        let stamp = Timespec {
            tv_sec: i64::try_from(modified.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: modified.subsec_nanos().into(),
        };
        Ok(sys::futimens(file, &Timestamps { last_access: stamp, last_modification: stamp })?)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        Ok(sys::fsync(folder)?)
    }

    fn sync_all(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        Ok(sys::syncfs(folder)?)
    }

    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        Ok(sys::mkdirat(folder, name, Mode::from_raw_mode(0o777))?)
    }

    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        Ok(sys::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
    }

    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(sys::symlinkat(target, folder, name)?)
    }

    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        Ok(sys::unlinkat(folder, name, AtFlags::empty())?)
    }

    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()> {
        Ok(sys::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE)?)
    }

    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()> {
        Ok(sys::renameat_with(from, name, to, other, RenameFlags::EXCHANGE)?)
    }

    fn record(&self) -> io::Result<()> {
        Ok(())
    }
}

fn through_memory(
    file: &File,
    mut offset: u64,
    from: &File,
    mut begin: u64,
    end: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    while begin < end {
        let length = usize::try_from(end - begin).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let piece = buffer.get_mut(..length).unwrap_or_default();
        from.read_exact_at(piece, begin)?;
        file.write_all_at(piece, offset)?;
        (begin, offset) = (begin + length as u64, offset + length as u64);
    }
    Ok(())
}
