//! What users do to files.

use std::{
    fs,
    io::Read,
    os::{fd::BorrowedFd, unix::fs::FileExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Mode, OFlags, openat};

use crate::{
    act::{Deed, PATHS},
    common,
};

/// Every content is one of a kind, so that none can hide behind another; all of a kind have the same length.
pub(crate) fn content(number: u16, stamp: usize) -> Vec<u8> {
    let mut text = format!("content {number:05} of {stamp:07}\n").into_bytes();
    // Some are large enough for a delta, some for a sketch.
    let more = match number % 5 {
        0 => 70_000,
        2 => 3_000,
        _ => 0,
    };
    text.extend(common::noise(more, u64::from(number % 3)));
    text
}

/// A user's program writes to a name; answers what it overwrote. A folder or a link in its way stays.
pub(crate) fn write_in(folder: BorrowedFd<'_>, name: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = fs::File::from(openat(folder, name, flags, Mode::from(0o644)).ok()?);
    let mut before = Vec::new();
    file.read_to_end(&mut before).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(text, 0).unwrap();
    Some(before)
}

/// Does it below `root`, as far as it can be done.
pub(crate) fn carry_out(root: &Path, deed: &Deed, stamp: usize) {
    let at = |path: &usize| root.join(PATHS[*path]);
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    match deed {
        Deed::Write { path, content: number } => {
            let path = at(path);
            // A file in the way of a folder, or the other way round: the user can't.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                fs::remove_file(&path).ok();
                fs::write(&path, content(*number, stamp)).ok();
            }
        }
        Deed::Tick { path, content: number } => {
            let path = at(path);
            if let Ok(before) = fs::read(&path)
                && is_file(&path)
            {
                let kind = match before.len() {
                    10_000.. => 0,
                    1_000.. => 2,
                    _ => 1,
                };
                let number = number / 5 * 5 + kind;
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, content(number, stamp)).unwrap();
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(modified).unwrap();
            }
        }
        Deed::Remove { path } => {
            let path = at(path);
            fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).ok();
        }
        Deed::Folder { path } => {
            fs::create_dir_all(at(path)).ok();
        }
        Deed::Rename { from, to } => {
            let (from, to) = (at(from), at(to));
            if from.exists() && !to.starts_with(&from) {
                fs::create_dir_all(to.parent().unwrap()).ok();
                fs::rename(from, to).ok();
            }
        }
        Deed::Executable { path, on } => {
            if is_file(&at(path)) {
                common::set_executable(at(path), *on);
            }
        }
        Deed::Link { path } => {
            let path = at(path);
            if path.parent().is_some_and(Path::is_dir) && !path.exists() {
                std::os::unix::fs::symlink("/etc/hostname", &path).ok();
            }
        }
        Deed::Stamp { path, time } => {
            let age = Duration::from_secs(time.unsigned_abs());
            let time: SystemTime = if *time < 0 { UNIX_EPOCH - age } else { UNIX_EPOCH + age };
            if is_file(&at(path)) {
                fs::File::open(at(path)).unwrap().set_modified(time).unwrap();
            }
        }
        Deed::Wipe => {
            for item in fs::read_dir(root).unwrap() {
                let path = item.unwrap().path();
                fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).ok();
            }
        }
    }
}
