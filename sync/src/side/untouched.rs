//! Large files that this run made, and whether somebody opened one since.
//!
//! What got its stamp in the last moment can be changed without a trace, and has to be read again by the next look. Of a large
//! file that costs far more than to wait until the moment is over. Whether it was over before somebody came, the kernel tells,
//! which watches the file from before it has its name.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init},
    io::Errno,
};

use crate::{fs::Stamp, watch::is_local};

/// Less is soon read again.
const LARGE_BYTES: u64 = 16 << 20;
/// Files that are watched in one run.
const MOST: usize = 256;
const BUFFER_BYTES: usize = 4 << 10;

/// Files by device and inode.
#[derive(Default)]
pub(crate) struct Untouched(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    inotify: Option<OwnedFd>,
    /// Their watches.
    files: HashMap<(u64, u64), i32>,
    touched: HashSet<i32>,
    /// Something was not told.
    is_blind: bool,
}

impl Untouched {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a file that nobody else can have opened yet. Where it can't be watched, nothing is known of it.
    pub(crate) fn watch(&self, file: &File, stamp: &Stamp) {
        let mut watched = self.lock();
        if stamp.size < LARGE_BYTES || watched.files.len() >= MOST {
            return;
        }
        if !is_local(file.as_fd()).unwrap_or(false) {
            return;
        }
        if watched.inotify.is_none() {
            watched.inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        }
        let Some(inotify) = &watched.inotify else { return };
        // Not that it is closed: so does who made it.
        let flags = WatchFlags::OPEN | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        if let Ok(watch) = add_watch(inotify, format!("/proc/self/fd/{}", file.as_raw_fd()), flags)
        {
            // A number that was another file's: whatever was told is of both.
            watched.files.insert((stamp.device, stamp.inode), watch);
        }
    }

    pub(crate) fn is_watched(&self, stamp: &Stamp) -> bool {
        self.lock().files.contains_key(&(stamp.device, stamp.inode))
    }

    /// Whether nobody opened or changed it up to now.
    pub(crate) fn holds(&self, stamp: &Stamp) -> bool {
        let mut watched = self.lock();
        watched.read();
        let watch = watched.files.get(&(stamp.device, stamp.inode));
        watch.is_some_and(|watch| !watched.is_blind && !watched.touched.contains(watch))
    }
}

impl Watched {
    fn read(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    self.is_blind = true;
                }
                Ok(event) => drop(self.touched.insert(event.wd())),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.is_blind = true;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::Found;

    #[test]
    fn whoever_opens_a_file_is_noticed_and_its_name_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let untouched = Untouched::default();
        let make = || {
            let file = File::create(&old).unwrap();
            file.set_len(LARGE_BYTES).unwrap();
            let stamp = Found::of_file(&file).unwrap().stamp;
            untouched.watch(&file, &stamp);
            file.sync_all().unwrap();
            drop(file);
            fs::rename(&old, &new).unwrap();
            stamp
        };
        let stamp = make();
        if !untouched.is_watched(&stamp) {
            eprintln!("this file system is none of those that are watched");
            return;
        }
        assert!(untouched.holds(&stamp));
        drop(File::open(&new).unwrap());
        assert!(!untouched.holds(&stamp));
        let other = make();
        fs::hard_link(&new, &old).unwrap();
        assert!(!untouched.holds(&other));
        let unknown = Stamp { inode: 1, ..stamp };
        assert!(!untouched.is_watched(&unknown) && !untouched.holds(&unknown));
    }
}
