//! Carrying out operations so that a crash at any point, and a user who writes at the same moment, lose nothing.
//!
//! In batches: contents are staged and verified; made durable, with notes about what they will displace; looked at once more; made
//! visible by renames that never overwrite (`RENAME_NOREPLACE`) or that swap (`RENAME_EXCHANGE`), after which what was displaced
//! is inspected: as expected, it goes to the trash; otherwise somebody wrote in between, and their version is kept under a
//! conflict name. Then folders are made durable; only then may anything be remembered.

mod hand;
mod moving;
mod names;

pub(crate) use names::{conflict_name, copy_prefix};

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{Mode, OFlags, openat};

use self::hand::{Hand, Task};
use crate::{
    RelPath,
    entry::Digest,
    error::Error,
    fs::{Found, What},
    index::Known,
    plan::Ended,
    side::{Batch, Side},
    state::Updates,
    threads,
    transfer::{Job, Staged, Writers},
    trash::Note,
};

/// Up to so many files or folders are flushed one by one; more by flushing the file system.
const FLUSHED_ALONE: usize = 64;
/// Fewer operations are not worth threads.
const SHARED: usize = 64;
/// A batch is committed when it has so many operations,
const BATCH_OPERATIONS: usize = 8_000;
/// or so many bytes.
const BATCH_BYTES: u64 = 256 << 20;

/// What is to happen at a path, with its content at hand.
pub(crate) enum Ready {
    MakeFolder,
    Delete,
    SetExecutable(bool),
    PutFile(Staged),
    PutLink(Box<[u8]>),
    /// The folder at this path comes here.
    MoveFolder(RelPath),
    /// It could not be prepared.
    Failed(Ended),
    /// It is being staged.
    Coming,
}

impl Ready {
    const fn is_delete(&self) -> bool {
        matches!(self, Self::Delete)
    }

    /// Whether something else at its path would have to go.
    const fn displaces(&self) -> bool {
        matches!(self, Self::Delete | Self::PutFile(_) | Self::PutLink(_))
    }
}

/// Carries out operations on one side.
pub(crate) struct Applier<'a> {
    side: &'a Side,
    /// For conflict names and for notes in the trash.
    label: &'a str,
    writers: Option<Writers>,
    waiting: Vec<(RelPath, Ready)>,
    waiting_bytes: u64,
    /// What this run made of paths; before what the scan saw.
    made: BTreeMap<RelPath, Option<Found>>,
    /// For the index.
    known: Vec<(RelPath, Option<Known>)>,
    /// Conflict copies of what somebody wrote in the last moment.
    displaced: Vec<RelPath>,
}

impl<'a> Applier<'a> {
    pub(crate) const fn new(side: &'a Side, label: &'a str) -> Self {
        Self {
            side,
            label,
            writers: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            made: BTreeMap::new(),
            known: Vec::new(),
            displaced: Vec::new(),
        }
    }

    pub(crate) const fn side(&self) -> &'a Side {
        self.side
    }

    /// What should be at a path, and its content where that is known.
    fn expected(&self, path: &RelPath) -> Result<(Option<Found>, Option<Digest>), Error> {
        match self.made.get(path) {
            Some(made) => Ok((*made, None)),
            None => Ok(match self.side.saw(path)? {
                Some(seen) => (Some(seen.found), seen.entry.digest()),
                None => (None, None),
            }),
        }
    }

    pub(crate) fn add(&mut self, path: RelPath, ready: Ready) {
        if let Ready::PutFile(staged) = &ready {
            self.waiting_bytes += staged.entry.size();
        }
        self.waiting.push((path, ready));
        if self.waiting.len() > FLUSHED_ALONE {
            // They will be flushed together: so many files need not stay open.
            for (_, ready) in self.waiting.iter_mut().rev().take(FLUSHED_ALONE + 1) {
                if let Ready::PutFile(staged) = ready {
                    staged.file = None;
                }
            }
        }
    }

    /// As [`Self::add`], of a small file that is staged meanwhile.
    pub(crate) fn stage(&mut self, path: RelPath, job: Job) -> Result<(), Error> {
        let side = self.side;
        let writers = match &mut self.writers {
            Some(writers) => writers,
            none => {
                let fs = side.fs();
                let start = || -> io::Result<Writers> {
                    let shelves = side.place.shelves(fs.as_ref(), Writers::count())?;
                    let shelves = shelves.iter().map(OwnedFd::try_clone);
                    Writers::start(fs, shelves.collect::<io::Result<_>>()?)
                };
                none.insert(start().map_err(Error::io("prepare the staging folder"))?)
            }
        };
        self.waiting_bytes += job.entry.size();
        writers.stage(self.waiting.len(), job);
        self.waiting.push((path, Ready::Coming));
        Ok(())
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH_OPERATIONS || self.waiting_bytes >= BATCH_BYTES
    }

    /// Carries out what waits; answers in its order. What it did is durable when it returns.
    pub(crate) fn commit(&mut self) -> Result<Vec<Ended>, Error> {
        self.take_written();
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let mut tasks = Vec::with_capacity(waiting.len());
        for (at, (path, ready)) in waiting.into_iter().enumerate() {
            let (expected, content) = match &ready {
                Ready::MakeFolder | Ready::Failed(_) => (None, None),
                Ready::MoveFolder(from) => self.expected(from)?,
                _ => self.expected(&path)?,
            };
            tasks.push(Task { at, path, ready, expected, content, thing: None });
        }
        let batch = self.prepare_trash(&mut tasks);
        self.flush_contents(&tasks, batch.as_ref().ok().and_then(Option::as_ref))
            .map_err(Error::io("make what came durable"))?;
        let mut ended: Vec<Option<Ended>> = vec![None; tasks.len()];
        let mut folders: BTreeSet<Option<RelPath>> = BTreeSet::new();
        let mut taken = false;
        while !tasks.is_empty() {
            let is_delete = tasks.first().is_some_and(|task| task.ready.is_delete());
            let end = tasks.iter().position(|task| task.ready.is_delete() != is_delete);
            let rest = tasks.split_off(end.unwrap_or(tasks.len()));
            for task in &mut tasks {
                let from = match &task.ready {
                    Ready::MoveFolder(from) => {
                        folders.insert(from.parent());
                        from
                    }
                    _ => &task.path,
                };
                // Earlier ones may have made room for it.
                if let Some(made) = self.made.get(from) {
                    task.expected = *made;
                }
            }
            for (at, path, end, changed) in self.run(std::mem::replace(&mut tasks, rest), &batch)? {
                if changed {
                    folders.insert(path.parent());
                }
                if let Some(slot) = ended.get_mut(at) {
                    *slot = Some(end);
                }
            }
        }
        if let Ok(Some(batch)) = &batch {
            let things =
                crate::fs::names(batch.folder.as_fd()).map_err(Error::io("see the trash"))?;
            taken |= things.len() > 1;
            if !taken {
                let discarded = self.side.place.discard(self.side.fs().as_ref(), batch);
                discarded.map_err(Error::io("tidy the trash"))?;
            }
        }
        self.flush_folders(&folders).map_err(Error::io("make what changed durable"))?;
        Ok(ended.into_iter().map(|ended| ended.unwrap_or(Ended::Changed)).collect())
    }

    /// Operations of one kind: the order among them does not matter but for folders, which come before what is put into them
    /// and go after what was in them.
    fn run(
        &mut self,
        tasks: Vec<Task>,
        batch: &Result<Option<Batch>, String>,
    ) -> Result<Vec<(usize, RelPath, Ended, bool)>, Error> {
        let is_folder = |task: &Task| {
            let was_folder = task.expected.is_some_and(|found| found.what == What::Folder);
            matches!(task.ready, Ready::MakeFolder | Ready::MoveFolder(_))
                || (task.ready.is_delete() && was_folder)
        };
        let are_deleted = tasks.first().is_some_and(|task| task.ready.is_delete());
        let (folders, files): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(is_folder);
        let (side, label) = (self.side, self.label);
        let hand = || Hand::new(side, label, batch);
        let alone = |tasks: Vec<Task>| -> Result<Vec<Hand<'_>>, Error> {
            let mut one = hand();
            one.work(tasks)?;
            Ok(vec![one])
        };
        let shared = |tasks: Vec<Task>| -> Result<Vec<Hand<'_>>, Error> {
            if tasks.len() < SHARED {
                return alone(tasks);
            }
            let work = |part| {
                let mut one = hand();
                one.work(part).map(|()| one)
            };
            threads::each(share(tasks, threads::count()), work).into_iter().collect()
        };
        let mut hands = Vec::new();
        if are_deleted {
            hands.extend(shared(files)?);
            hands.extend(alone(folders)?);
        } else {
            hands.extend(alone(folders)?);
            hands.extend(shared(files)?);
        }
        let mut ended = Vec::new();
        for hand in hands {
            self.made.extend(hand.made);
            self.known.extend(hand.known);
            self.displaced.extend(hand.displaced);
            ended.extend(hand.ended);
        }
        Ok(ended)
    }

    fn take_written(&mut self) {
        let Some(writers) = &mut self.writers else { return };
        for (ticket, written) in writers.finish() {
            let ready = match written {
                Ok(Some(staged)) => Ready::PutFile(staged),
                Ok(None) => Ready::Failed(Ended::Changed),
                Err(error) => {
                    Ready::Failed(Ended::Skipped(format!("it can't be written: {error}")))
                }
            };
            if let Some((_, waiting)) = self.waiting.get_mut(ticket) {
                *waiting = ready;
            }
        }
        for (_, waiting) in &mut self.waiting {
            if matches!(waiting, Ready::Coming) {
                *waiting = Ready::Failed(Ended::Skipped("it could not be written".to_owned()));
            }
        }
    }

    /// Notes about what will be displaced. The reason why there can be none is for people.
    fn prepare_trash(&self, tasks: &mut [Task]) -> Result<Option<Batch>, String> {
        let now_s = self.side.context.clock.now().as_secs();
        let mut notes = Vec::new();
        for task in tasks {
            let is_file = task.expected.is_some_and(|found| found.what != What::Folder);
            if !task.ready.displaces() || !is_file {
                continue;
            }
            let (thing, reason) = match &task.ready {
                Ready::PutFile(staged) => {
                    (staged.name.clone(), "replaced by the other side's version")
                }
                Ready::PutLink(_) => {
                    (self.side.place.new_name(), "replaced by the other side's version")
                }
                _ => (self.side.place.new_name(), "deleted on the other side"),
            };
            notes.push(Note::new(&thing, &task.path, task.content, reason, now_s));
            task.thing = Some(thing);
        }
        if notes.is_empty() {
            return Ok(None);
        }
        let batch = self.side.place.batch(self.side.fs().as_ref(), &notes, now_s);
        batch.map(Some).map_err(|error| format!("there is no room in the trash: {error}"))
    }

    /// What is to be remembered of what was made: it saves the next look from reading it.
    pub(crate) fn known(&mut self) -> Result<Updates, Error> {
        let made = std::mem::take(&mut self.known);
        if made.is_empty() { Ok(Updates::new()) } else { self.side.known(made) }
    }

    /// Conflict copies of what somebody wrote in the last moment.
    pub(crate) fn displaced(&self) -> &[RelPath] {
        &self.displaced
    }

    fn flush_contents(&self, tasks: &[Task], batch: Option<&Batch>) -> io::Result<()> {
        let fs = self.side.fs();
        if tasks.len() > FLUSHED_ALONE {
            let any = tasks.iter().any(|task| matches!(task.ready, Ready::PutFile(_)));
            return if any || batch.is_some() { fs.sync_all(self.side.stage()) } else { Ok(()) };
        }
        if let Some(batch) = batch {
            fs.sync_file(&batch.notes)?;
        }
        for task in tasks {
            match &task.ready {
                Ready::PutFile(Staged { file: Some(file), .. }) => fs.sync_file(file)?,
                Ready::PutFile(Staged { shelf, name, .. }) => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let shelf = self.side.place.shelf(*shelf);
                    let file = openat(shelf, name.as_str(), flags, Mode::empty())?;
                    fs.sync_file(&std::fs::File::from(file))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn flush_folders(&self, folders: &BTreeSet<Option<RelPath>>) -> io::Result<()> {
        let fs = self.side.fs();
        if folders.len() > FLUSHED_ALONE {
            return fs.sync_all(self.side.root.fd());
        }
        for folder in folders {
            match self.side.root.folder(folder.as_ref()) {
                Ok(folder) => fs.sync_folder(folder.as_fd())?,
                // Deleted in the same batch.
                Err(error) if crate::fs::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Parts for threads: by the shelf that a file lies on, so that two threads don't wait for one folder; the rest in equal runs.
fn share(tasks: Vec<Task>, count: usize) -> Vec<Vec<Task>> {
    let mut parts: Vec<Vec<Task>> = Vec::new();
    parts.resize_with(count.max(1), Vec::new);
    let run = tasks.len().div_ceil(count.max(1));
    for (number, task) in tasks.into_iter().enumerate() {
        let part = match &task.ready {
            Ready::PutFile(staged) if staged.shelf > 0 => staged.shelf % count.max(1),
            _ => number / run,
        };
        if let Some(part) = parts.get_mut(part) {
            part.push(task);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
