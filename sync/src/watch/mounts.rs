//! Whether what is watched is all that there is: changes on other machines, and on file systems that are mounted inside, are
//! told by nobody.

use std::{
    fs::{File, read_link},
    io::{self, Read as _, Seek as _},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::fstatfs,
};

/// File systems of this machine alone (`statfs(2)`): ext2 to ext4, XFS, btrfs, tmpfs, ramfs, overlay, F2FS, ZFS, bcachefs.
const LOCAL: [u64; 9] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
];
/// Longest table of mounts that is read.
const TABLE_BYTES: u64 = 16 << 20;

fn is_local_kind(kind: rustix::fs::FsWord) -> bool {
    #[expect(clippy::cast_sign_loss, reason = "a number that names a kind")]
    LOCAL.contains(&(kind as u64 & 0xffff_ffff))
}

/// Whether a file's changes can only be made on this machine.
pub(crate) fn is_local(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(is_local_kind(fstatfs(file)?.f_type))
}

/// The mounts of this process, which the kernel tells the changes of.
pub(super) struct MountTable {
    file: File,
}

impl MountTable {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { file: File::open("/proc/self/mountinfo")? })
    }

    /// Since this was asked last.
    pub(super) fn changed(&self) -> io::Result<bool> {
        let mut asked = [PollFd::new(&self.file, PollFlags::PRI | PollFlags::ERR)];
        poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(asked.iter().any(|asked| !asked.revents().is_empty()))
    }

    /// Why a root can't be watched, for people.
    pub(super) fn obstacle(&mut self, root: BorrowedFd<'_>) -> io::Result<Option<String>> {
        let kind = fstatfs(root)?.f_type;
        if !is_local_kind(kind) {
            return Ok(Some(format!(
                "the folder is on a file system ({kind:#x}) whose changes by others are not told"
            )));
        }
        let path = read_link(format!("/proc/self/fd/{}", root.as_fd().as_raw_fd()))?;
        self.file.rewind()?;
        let mut table = Vec::new();
        (&mut self.file).take(TABLE_BYTES).read_to_end(&mut table)?;
        Ok(mounted_below(&table, path.as_os_str().as_bytes()).map(|point| {
            format!("another file system is mounted inside, at {}", String::from_utf8_lossy(&point))
        }))
    }
}

fn mounted_below(table: &[u8], root: &[u8]) -> Option<Vec<u8>> {
    let points = table.split(|&byte| byte == b'\n').filter_map(|line| {
        // Number, parent, device, the folder in it, then where it is mounted.
        line.split(|&byte| byte == b' ').nth(4).map(unescape)
    });
    let mut inside = points.filter(|point| {
        let rest = if root == b"/" { Some(&point[..]) } else { point.strip_prefix(root) };
        rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with(b"/"))
    });
    inside.next()
}

/// Blanks and backslashes are written as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code.filter(|_| first == b'\\') {
            plain.push(code);
            rest = behind.get(3..).unwrap_or_default();
        } else {
            plain.push(first);
            rest = behind;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_inside_are_told_from_those_beside() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
            30 22 0:5 / /mnt/zone rw - tmpfs t rw\n\
            31 22 0:6 / /mnt/zone-2 rw - tmpfs t rw\n\
            32 30 0:7 /x /mnt/a\\040b/in rw shared:1 - tmpfs t rw\n";
        assert_eq!(mounted_below(table, b"/mnt/zone"), None);
        assert_eq!(mounted_below(table, b"/mnt/a b").unwrap(), b"/mnt/a b/in");
        assert_eq!(mounted_below(table, b"/mnt").unwrap(), b"/mnt/zone");
        assert_eq!(mounted_below(table, b"/").unwrap(), b"/mnt/zone");
        assert_eq!(mounted_below(table, b"/mnt/zone/deeper"), None);
    }
}
