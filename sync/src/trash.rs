//! What a synchronisation replaced or deleted, until it expires: a folder `<time>-<id>` an item, with the thing and a note about it.
//!
//! The note is there before the thing is moved in by one rename: a crash leaves an item that is whole, or a note about nothing,
//! which is no item and expires with the others. The control plane keeps what its users delete in the same form, and lists,
//! restores and expires both.

use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use data_encoding::{BASE32_NOPAD, BASE64};
use rustix::{
    fs::{Mode, OFlags, openat},
    rand::{GetRandomFlags, getrandom},
};
use serde::{Deserialize, Serialize};

use crate::{
    RelPath,
    fs::{FileSystem, Root, What, look_in, names},
};

pub(crate) const NOTE: &[u8] = b"note.json";
/// Largest note that is read: a path of 4,095 bytes, encoded, and a reason.
const LONGEST_NOTE: u64 = 64 << 10;

/// Where a thing was, and why it is there no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Base64: any bytes.
    pub path: String,
    pub deleted_at_s: i64,
    /// For people.
    pub reason: String,
}

pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 10];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(BASE32_NOPAD.encode(&bytes).to_lowercase())
}

pub(crate) fn write_note(
    fs: &dyn FileSystem,
    folder: BorrowedFd<'_>,
    path: &RelPath,
    reason: &str,
    now_s: u64,
) -> io::Result<()> {
    let note = Note {
        path: BASE64.encode(path.as_bytes()),
        deleted_at_s: i64::try_from(now_s).unwrap_or(i64::MAX),
        reason: reason.to_owned(),
    };
    let file = fs.create(folder, NOTE, false)?;
    fs.write(&file, serde_json::to_string(&note)?.as_bytes(), 0)
}

fn open_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

/// Reads an item's note.
pub fn read_note(item: BorrowedFd<'_>) -> io::Result<Note> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(openat(item, NOTE, flags, Mode::empty())?);
    let mut text = String::new();
    file.take(LONGEST_NOTE).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// Removes for good what came before `before` (since 1970). Answers how many items went. What can't be removed is tried again
/// the next time.
pub fn expire(trash: &Path, fs: &dyn FileSystem, before: Duration) -> io::Result<u64> {
    let root = match Root::open(trash) {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    expire_in(root.fd(), fs, before)
}

pub(crate) fn expire_in(
    trash: BorrowedFd<'_>,
    fs: &dyn FileSystem,
    before: Duration,
) -> io::Result<u64> {
    let mut gone = 0;
    for name in names(trash)? {
        let time = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| name.split_once('-')?.0.parse::<u64>().ok());
        if time.is_some_and(|time| time < before.as_secs()) {
            remove_all(trash, &name, fs)?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// A thing with all that is in it. Depth is bounded by the longest path.
fn remove_all(folder: BorrowedFd<'_>, name: &[u8], fs: &dyn FileSystem) -> io::Result<()> {
    match look_in(folder, name)?.map(|found| found.what) {
        None => Ok(()),
        Some(What::Folder) => {
            let inner = open_in(folder, name)?;
            for name in names(inner.as_fd())? {
                remove_all(inner.as_fd(), &name, fs)?;
            }
            fs.remove_folder(folder, name)
        }
        Some(What::File | What::Link | What::Special(_)) => fs.remove_file(folder, name),
    }
}
