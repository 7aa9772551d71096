//! What a synchronisation replaced or deleted, until it expires: a folder `<time>-<id>` for what went together, with the things and
//! notes about them, a line of JSON each.
//!
//! The notes are there before the things are moved in, each by one rename: a crash leaves things that are whole, or notes about
//! nothing, which are no items and expire with the others. The control plane lists, restores and expires them.

use std::{
    io::{self, BufRead as _, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use data_encoding::{BASE32_NOPAD, BASE64};
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};
use serde::{Deserialize, Serialize};

use crate::{
    RelPath,
    fs::{FileSystem, Root, What, look_in, names},
};

pub(crate) const NOTES: &[u8] = b"notes";
/// Most that is read of one folder's notes.
const LONGEST_NOTES: u64 = 256 << 20;

/// Where a thing was, and why it is there no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The thing's name beside the notes.
    pub thing: String,
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

impl Note {
    pub(crate) fn new(thing: &str, path: &RelPath, reason: &str, now_s: u64) -> Self {
        Self {
            thing: thing.to_owned(),
            path: BASE64.encode(path.as_bytes()),
            deleted_at_s: i64::try_from(now_s).unwrap_or(i64::MAX),
            reason: reason.to_owned(),
        }
    }
}

pub(crate) fn write_notes(
    fs: &dyn FileSystem,
    folder: BorrowedFd<'_>,
    notes: &[Note],
) -> io::Result<std::fs::File> {
    let mut text = Vec::new();
    for note in notes {
        serde_json::to_writer(&mut text, note)?;
        text.push(b'\n');
    }
    let file = fs.create(folder, NOTES, false)?;
    fs.write(&file, &text, 0)?;
    Ok(file)
}

fn open_in(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

/// The notes of one folder of the trash, also about things that never came or went back. A line that was cut off ends them.
pub fn read_notes(folder: BorrowedFd<'_>) -> io::Result<Vec<Note>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, NOTES, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let lines = io::BufReader::new(file.take(LONGEST_NOTES)).lines();
    let notes = lines.map_while(|line| serde_json::from_str(&line.ok()?).ok());
    Ok(notes.collect())
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
