//! Small files are staged by several threads, each on a shelf or in new folders of its own: a folder takes one new name at a time.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::Staged;
use crate::{
    RelPath,
    entry::{Digest, Entry},
    fs::{FileSystem, Found, Root, Stamp},
    threads,
};

/// Runs of files that may wait for one thread.
const WAITING: usize = 4;
/// Files that go to one thread in a row: they often are of one folder, and threads wake each other less often.
const IN_A_ROW: usize = 16;
/// The same where they go into one folder.
const IN_ONE_FOLDER: usize = 64;

/// A small content that came whole.
pub(crate) struct Job {
    pub name: String,
    pub content: Vec<u8>,
    pub entry: Entry,
    pub modified_ms: i64,
}

/// Where a file lies that comes into a new folder.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Of the staging folder.
    pub folder: RelPath,
    pub name: Vec<u8>,
}

/// What a thread gets: tickets and files, and where these go.
type Run = Vec<(usize, Job, Option<Home>)>;

/// How staging ended; `None`: what came is not what was announced.
pub(crate) type Written = io::Result<Option<Staged>>;

/// Threads that stage files.
pub(crate) struct Writers {
    workers: Vec<Worker>,
    done: Arc<Done>,
    /// The worker whose turn it is, and what it will get.
    turn: usize,
    run: Run,
    out: usize,
}

/// Results of a batch, which bounds them.
#[derive(Default)]
struct Done {
    results: Mutex<Vec<(usize, Written)>>,
    changed: Condvar,
}

impl Done {
    fn put(&self, written: Vec<(usize, Written)>) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
        self.changed.notify_one();
    }

    /// Waits for so many.
    fn take(&self, count: usize) -> Vec<(usize, Written)> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        while results.len() < count {
            results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut results)
    }
}

struct Worker {
    /// `None`: no more come.
    jobs: Option<SyncSender<Run>>,
    thread: Option<JoinHandle<()>>,
}

impl Writers {
    /// `shelves` are folders of the staging folder that only one of them writes to.
    pub(crate) fn start(
        fs: &Arc<dyn FileSystem>,
        stage: Root,
        shelves: Vec<OwnedFd>,
    ) -> io::Result<Self> {
        let (stage, done) = (Arc::new(stage), Arc::new(Done::default()));
        let workers = (1..)
            .zip(shelves)
            .map(|(number, shelf)| {
                let (fs, stage) = (Arc::clone(fs), Arc::clone(&stage));
                let desk = Desk { fs, stage, number, shelf, folder: None };
                Worker::start(desk, Arc::clone(&done))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { workers, done, turn: 0, run: Vec::new(), out: 0 })
    }

    /// How many are worth their while.
    pub(crate) fn count() -> usize {
        threads::count()
    }

    /// Stages a file later; `ticket` comes back with the result. Waits while too many wait.
    pub(crate) fn stage(&mut self, ticket: usize, job: Job, home: Option<Home>) {
        let last = self.run.last().and_then(|(_, _, last)| last.as_ref());
        let is_same = last.zip(home.as_ref()).is_some_and(|(last, now)| last.folder == now.folder);
        let most = if is_same { IN_ONE_FOLDER } else { IN_A_ROW };
        if self.run.len() >= most {
            self.hand_out();
        }
        self.run.push((ticket, job, home));
    }

    fn hand_out(&mut self) {
        let run = std::mem::take(&mut self.run);
        let count = run.len();
        if let Some(Worker { jobs: Some(jobs), .. }) = self.workers.get(self.turn)
            && jobs.send(run).is_ok()
        {
            self.out += count;
        }
        self.turn = (self.turn + 1) % self.workers.len().max(1);
    }

    /// Waits for all that is being staged.
    pub(crate) fn finish(&mut self) -> Vec<(usize, Written)> {
        if !self.run.is_empty() {
            self.hand_out();
        }
        self.done.take(std::mem::take(&mut self.out))
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.jobs = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // One that panicked has nothing to give.
                drop(thread.join());
            }
        }
    }
}

impl Worker {
    fn start(mut desk: Desk, done: Arc<Done>) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Run>(WAITING);
        let work = move || {
            for run in waiting {
                let write = |(ticket, job, home)| {
                    let write = || desk.write(job, home);
                    // Whoever waits for the others' results would wait for ever.
                    let broke_off = |_| Err(io::Error::other("whoever wrote it broke off"));
                    (ticket, catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(broke_off))
                };
                done.put(run.into_iter().map(write).collect());
            }
        };
        let thread = std::thread::Builder::new().name("sync-write".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

/// Where one thread works.
struct Desk {
    fs: Arc<dyn FileSystem>,
    stage: Arc<Root>,
    number: usize,
    shelf: OwnedFd,
    /// That the file before went into.
    folder: Option<(RelPath, OwnedFd)>,
}

impl Desk {
    fn write(&mut self, job: Job, home: Option<Home>) -> Written {
        let Job { name, content, entry, modified_ms } = job;
        let Entry::File { size, digest, executable } = entry else { return Ok(None) };
        if content.len() as u64 != size || Digest::of(&content) != digest {
            return Ok(None);
        }
        let (folder, name_there) = match &home {
            None => (self.shelf.as_fd(), name.as_bytes()),
            Some(Home { folder, name }) => {
                if self.folder.as_ref().is_none_or(|(last, _)| last != folder) {
                    self.folder = Some((folder.clone(), self.stage.folder(Some(folder))?));
                }
                let folder = self.folder.as_ref().map(|(_, folder)| folder.as_fd());
                (folder.unwrap_or(self.shelf.as_fd()), name.as_slice())
            }
        };
        let fs = self.fs.as_ref();
        let file = match fs.create(folder, name_there, executable) {
            Ok(file) => file,
            // Two names that are one here.
            Err(error) if home.is_some() && error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let fill = || -> io::Result<Stamp> {
            if !content.is_empty() {
                fs.write(&file, &content, 0)?;
            }
            if let Ok(modified) = u64::try_from(modified_ms) {
                fs.set_modified(&file, Duration::from_millis(modified))?;
            }
            Ok(Found::of_file(&file)?.stamp)
        };
        match fill() {
            Ok(stamp) => {
                let within = home.map(|home| home.folder);
                let (shelf, blocks, file) = (self.number, None, None);
                Ok(Some(Staged { shelf, name, within, entry, blocks, file, stamp }))
            }
            Err(error) => {
                fs.remove_file(folder, name_there)?;
                Err(error)
            }
        }
    }
}
