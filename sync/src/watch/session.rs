//! One inotify instance, from its first watch until something is lost, and the thread that reads it.

use std::{
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread::JoinHandle,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch},
    io::Errno,
};

use super::{Inner, Shared, mounts::MountTable};
use crate::{RelPath, index::RESERVED};

/// Most folders below one root that are watched: about 1 KiB of kernel memory each.
const MOST_FOLDERS: usize = 500_000;
/// Events that are read before others get the lock, and before whoever waits for a silence gives up.
const BATCH: usize = 4_096;
const MOST_AT_ONCE: usize = 200_000;
const BUFFER_BYTES: usize = 64 << 10;
const STACK_BYTES: usize = 256 << 10;

const LIMIT: &str = "the machine's limit of watches (fs.inotify.max_user_watches) is reached";

pub(super) struct Session {
    inotify: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
    thread: JoinHandle<()>,
    pub mounts: MountTable,
}

/// What reading came to.
pub(super) struct Read {
    /// Changes of what is watched.
    pub told: u64,
    /// Nothing was left to read.
    pub all: bool,
}

impl Session {
    /// The reason why not is for people.
    pub(super) fn begin(shared: &Arc<Shared>, generation: u64) -> Result<Self, String> {
        let failed = |what: &'static str| move |error: Errno| format!("{what}: {error}");
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = init(flags).map_err(|error| match error {
            Errno::MFILE => {
                "the machine's limit of watchers (fs.inotify.max_user_instances) is reached".into()
            }
            error => format!("the kernel does not watch: {error}"),
        })?;
        let inotify = Arc::new(inotify);
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let stop = Arc::new(stop.map_err(failed("no word to the watcher"))?);
        let mounts = MountTable::open()
            .map_err(|error| format!("it can't be told what is mounted inside: {error}"))?;
        let (events, ends, shared) = (Arc::clone(&inotify), Arc::clone(&stop), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("watch".into())
            .stack_size(STACK_BYTES)
            .spawn(move || follow(&shared, &events, &ends, generation))
            .map_err(|error| format!("no thread for the watcher: {error}"))?;
        Ok(Self { inotify, stop, thread, mounts })
    }

    /// Its thread ends by itself; for those who hold what it needs.
    pub(super) fn abandon(self) {
        self.wake();
    }

    pub(super) fn end(self) {
        self.wake();
        if self.thread.join().is_err() {
            tracing::error!("the watcher panicked");
        }
    }

    fn wake(&self) {
        if let Err(error) = rustix::io::write(&self.stop, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "the watcher can't be told to end");
        }
    }

    fn add(&self, folder: BorrowedFd<'_>) -> Result<i32, Errno> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        // The folder itself, whatever has its name by now.
        add_watch(&*self.inotify, format!("/proc/self/fd/{}", folder.as_raw_fd()), flags)
    }
}

fn follow(shared: &Shared, inotify: &OwnedFd, stop: &OwnedFd, generation: u64) {
    loop {
        let mut fds = [PollFd::new(inotify, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                let mut inner = shared.lock();
                if inner.generation == generation {
                    inner.lose(format!("waiting for changes failed: {error}"), true);
                }
                return;
            }
        }
        let [_, stopped] = &fds;
        if !stopped.revents().is_empty() {
            return;
        }
        let read = {
            let mut inner = shared.lock();
            if inner.generation != generation {
                return;
            }
            inner.read(BATCH)
        };
        shared.tell(read.told);
    }
}

impl Inner {
    /// Watches a folder, of which nothing has been read yet.
    pub(super) fn watch(&mut self, folder: Option<&RelPath>, fd: BorrowedFd<'_>) {
        let Some(session) = &self.session else { return };
        if self.folders.len() >= MOST_FOLDERS {
            return self.lose(format!("there are more than {MOST_FOLDERS} folders"), true);
        }
        match session.add(fd) {
            Ok(watch) => {
                if let Some(void) = self.folders.put(&folder.cloned(), watch) {
                    unwatch(&session.inotify, void);
                }
            }
            // It is gone: the folder it was in tells.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::NOSPC) => self.lose(LIMIT, true),
            Err(error) => self.lose(format!("a folder can't be watched: {error}"), true),
        }
    }

    /// Everything that was told until now, or everything that can be read at once.
    pub(super) fn read_all(&mut self) -> Read {
        self.read(MOST_AT_ONCE)
    }

    fn read(&mut self, most: usize) -> Read {
        let mut read = Read { told: 0, all: false };
        let Some(inotify) = self.session.as_ref().map(|session| Arc::clone(&session.inotify))
        else {
            return read;
        };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(&*inotify, &mut buffer);
        for count in 0.. {
            // What is in the buffer is read: it would be lost.
            if count >= most && reader.is_buffer_empty() {
                return read;
            }
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    read.told += u64::from(self.event(event.wd(), event.events(), name));
                    if self.session.is_none() {
                        return read;
                    }
                }
                Err(Errno::AGAIN) => {
                    read.all = true;
                    return read;
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    self.lose(format!("reading changes failed: {error}"), true);
                    read.told += 1;
                    return read;
                }
            }
        }
        read
    }

    /// Answers whether something changed.
    fn event(&mut self, watch: i32, what: ReadFlags, name: Option<&[u8]>) -> bool {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.lose("more changed at once than the kernel keeps", false);
            return true;
        }
        if what.contains(ReadFlags::UNMOUNT) {
            self.lose("a file system was unmounted", false);
            return true;
        }
        if what.contains(ReadFlags::IGNORED) {
            self.folders.forget(watch);
            return false;
        }
        // Nothing known: it was moved away, and whatever has its place or it in another place is looked at anew.
        let Some(folder) = self.folders.of(watch).cloned() else { return false };
        if folder.is_none() && name == Some(RESERVED) {
            return false;
        }
        let is_folder = what.contains(ReadFlags::ISDIR);
        if let Some(name) = name.filter(|_| is_folder)
            && let Ok(path) = RelPath::in_folder(folder.as_ref(), name)
        {
            if what.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
                let gone = self.folders.take_tree(&path);
                if let Some(session) = &self.session {
                    for watch in gone {
                        unwatch(&session.inotify, watch);
                    }
                }
            } else {
                self.dirty.tree(path);
            }
        }
        self.dirty.folder(folder);
        true
    }
}

/// It may be gone already, with its folder.
fn unwatch(inotify: &OwnedFd, watch: i32) {
    if let Err(error) = remove_watch(inotify, watch)
        && error != Errno::INVAL
    {
        tracing::warn!(%error, "a watch could not be given up");
    }
}
