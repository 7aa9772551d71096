//! Carrying out what is staged, batch by batch.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
};

use super::{
    FLUSHED_ALONE, Ready,
    hand::{Hand, Task},
    new, tree,
};
use crate::{
    RelPath,
    entry::Digest,
    error::Error,
    fs::{Found, What, open_in},
    index::Known,
    plan::Ended,
    side::{Batch, Side},
    threads,
    transfer::Staged,
    trash::{self, DELETED, Note, REPLACED},
};

/// Fewer operations are not worth threads.
const SHARED: usize = 64;

/// How an operation of a batch ended, and whether its folder may have changed.
type Done = (usize, RelPath, Ended, bool);

/// Carries out operations on one side, and keeps what came of them.
pub(super) struct Carrier<'a> {
    side: &'a Side,
    /// For conflict names.
    label: &'a str,
    /// What this run made of paths; before what the scan saw.
    made: BTreeMap<RelPath, Option<Found>>,
    /// Nobody asks for those of a batch before.
    pub each_path_once: bool,
    /// For the index.
    known: Vec<(RelPath, Option<Known>)>,
    /// Conflict copies of what somebody wrote in the last moment.
    pub displaced: Vec<RelPath>,
    /// Folders whose names are not on the disk yet.
    unflushed: BTreeSet<Option<RelPath>>,
}

impl<'a> Carrier<'a> {
    pub(super) const fn new(side: &'a Side, label: &'a str) -> Self {
        Self {
            side,
            label,
            made: BTreeMap::new(),
            each_path_once: false,
            known: Vec::new(),
            displaced: Vec::new(),
            unflushed: BTreeSet::new(),
        }
    }

    pub(super) fn forget_made(&mut self) {
        self.made.clear();
    }

    pub(super) fn take_known(&mut self) -> Vec<(RelPath, Option<Known>)> {
        std::mem::take(&mut self.known)
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

    /// Answers in the order of what waits. The names that it gives are not durable before the next flush of everything, or
    /// [`Self::settle`].
    pub(super) fn carry_out(
        &mut self,
        waiting: Vec<(RelPath, Ready)>,
    ) -> Result<Vec<Ended>, Error> {
        if self.each_path_once {
            self.forget_made();
        }
        let count = waiting.len();
        let mut tasks = Vec::with_capacity(count);
        for (at, (path, ready)) in waiting.into_iter().enumerate() {
            let (expected, content) = match &ready {
                Ready::MakeFolder | Ready::NewFolder(_) | Ready::Failed(_) => (None, None),
                Ready::MoveFolder(from) => self.expected(from)?,
                _ => self.expected(&path)?,
            };
            tasks.push(Task { at, path, ready, expected, content, thing: None });
        }
        new::gather(&mut tasks);
        tree::gather(self.side, &mut tasks);
        tree::look_at_whole(self.side, &mut tasks)?;
        let batch = self.prepare_trash(&mut tasks);
        self.flush_contents(&tasks, batch.as_ref().ok().and_then(Option::as_ref))
            .map_err(Error::io("make what came durable"))?;
        let mut ended: Vec<Option<Ended>> = vec![None; count];
        while !tasks.is_empty() {
            let is_delete = tasks.first().is_some_and(|task| task.ready.is_delete());
            let end = tasks.iter().position(|task| task.ready.is_delete() != is_delete);
            let rest = tasks.split_off(end.unwrap_or(tasks.len()));
            let run = std::mem::replace(&mut tasks, rest);
            for (at, path, end, changed) in self.run(run, &batch)? {
                if changed {
                    self.unflushed.insert(path.parent());
                }
                if let Some(slot) = ended.get_mut(at) {
                    *slot = Some(end);
                }
            }
        }
        self.tidy(&batch)?;
        Ok(ended.into_iter().map(|ended| ended.unwrap_or(Ended::Changed)).collect())
    }

    /// Makes everything durable.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.flush_folders().map_err(Error::io("make what changed durable"))
    }

    /// A folder of the trash that nothing came to is not kept.
    fn tidy(&self, batch: &Result<Option<Batch>, String>) -> Result<(), Error> {
        let Ok(Some(batch)) = batch else { return Ok(()) };
        let things = crate::fs::names(batch.folder.as_fd()).map_err(Error::io("see the trash"))?;
        if things.len() > 1 {
            return Ok(());
        }
        let discarded = self.side.place.discard(self.side.fs().as_ref(), batch);
        discarded.map_err(Error::io("tidy the trash"))
    }

    /// Operations of one kind: the order among them does not matter but for folders, which come before what is put into them
    /// and go after what was in them.
    fn run(
        &mut self,
        mut tasks: Vec<Task>,
        batch: &Result<Option<Batch>, String>,
    ) -> Result<Vec<Done>, Error> {
        for task in &mut tasks {
            let from = match &task.ready {
                Ready::MoveFolder(from) => {
                    self.unflushed.insert(from.parent());
                    from
                }
                _ => &task.path,
            };
            // Earlier ones may have made room for it.
            if let Some(made) = self.made.get(from) {
                task.expected = *made;
            }
        }
        let is_folder = |task: &Task| {
            let was_folder = task.expected.is_some_and(|found| found.what == What::Folder);
            task.ready.is_folder() || (task.ready.is_delete() && was_folder)
        };
        let are_deleted = tasks.first().is_some_and(|task| task.ready.is_delete());
        let (trees, tasks): (Vec<Task>, Vec<Task>) =
            tasks.into_iter().partition(|task| matches!(task.ready, Ready::DeleteTree(_)));
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
        let mut ended = Vec::new();
        if are_deleted {
            ended.extend(self.keep(alone(trees)?)?);
            ended.extend(self.keep(shared(files)?)?);
            ended.extend(self.keep(alone(folders)?)?);
        } else {
            ended.extend(self.keep(alone(folders)?)?);
            ended.extend(self.keep(shared(files)?)?);
        }
        Ok(ended)
    }

    fn keep(&mut self, hands: Vec<Hand<'_>>) -> Result<Vec<Done>, Error> {
        let (mut ended, mut torn, mut remains) = (Vec::new(), Vec::new(), Vec::new());
        for hand in hands {
            self.made.extend(hand.made);
            self.known.extend(hand.known);
            self.displaced.extend(hand.displaced);
            ended.extend(hand.ended);
            torn.extend(hand.torn);
            remains.extend(hand.remains);
        }
        if !torn.is_empty() {
            ended.extend(self.run_torn(torn)?);
        }
        for at in remains {
            let removed =
                trash::remove_all(self.side.stage(), at.as_bytes(), self.side.fs().as_ref());
            removed.map_err(Error::io("take a staged folder away"))?;
        }
        Ok(ended)
    }

    /// Name by name, what could not be done as a whole.
    fn run_torn(&mut self, mut tasks: Vec<Task>) -> Result<Vec<Done>, Error> {
        let batch = self.prepare_trash(&mut tasks);
        self.flush_contents(&tasks, batch.as_ref().ok().and_then(Option::as_ref))
            .map_err(Error::io("make notes durable"))?;
        let ended = self.run(tasks, &batch)?;
        self.tidy(&batch)?;
        Ok(ended)
    }

    /// Notes about what will be displaced. The reason why there can be none is for people.
    fn prepare_trash(&self, tasks: &mut [Task]) -> Result<Option<Batch>, String> {
        let now_s = self.side.context.clock.now().as_secs();
        let mut notes = Vec::new();
        for task in tasks {
            let is_file = task.expected.is_some_and(|found| found.what != What::Folder);
            let reason = match &task.ready {
                Ready::DeleteTree(_) => DELETED,
                Ready::Delete if is_file => DELETED,
                Ready::PutFile(_) | Ready::PutLink(_) if is_file => REPLACED,
                _ => continue,
            };
            let thing = match &task.ready {
                // After an exchange, what was displaced has the name of what displaced it.
                Ready::PutFile(staged) => staged.name.clone(),
                _ => self.side.place.new_name(),
            };
            notes.push(match &task.ready {
                Ready::DeleteTree(tree) => tree.gone.note(&thing, reason, now_s),
                _ => Note::new(&thing, &task.path, task.content, reason, now_s),
            });
            task.thing = Some(thing);
        }
        if notes.is_empty() {
            return Ok(None);
        }
        let batch = self.side.place.batch(self.side.fs().as_ref(), &notes, now_s);
        batch.map(Some).map_err(|error| format!("there is no room in the trash: {error}"))
    }

    fn flush_contents(&mut self, tasks: &[Task], batch: Option<&Batch>) -> io::Result<()> {
        let fs = self.side.fs();
        if count(tasks) > FLUSHED_ALONE {
            let is_new = |task: &Task| matches!(task.ready, Ready::PutFile(_) | Ready::PutTree(_));
            let any = tasks.iter().any(is_new);
            if any || batch.is_some() {
                fs.sync_all(self.side.stage())?;
                // Also of what was given its name before.
                self.unflushed.clear();
            }
            return Ok(());
        }
        if let Some(batch) = batch {
            fs.sync_file(&batch.notes)?;
        }
        for task in tasks {
            match &task.ready {
                Ready::PutTree(tree) => {
                    tree.tasks.iter().try_for_each(|task| self.flush_file(task))?;
                }
                _ => self.flush_file(task)?,
            }
        }
        Ok(())
    }

    fn flush_file(&self, task: &Task) -> io::Result<()> {
        let (fs, place) = (self.side.fs(), &self.side.place);
        let file = match &task.ready {
            Ready::PutFile(Staged { file: Some(file), .. }) => return fs.sync_file(file),
            Ready::PutFile(Staged { within: Some(folder), .. }) => {
                open_in(place.staged(Some(folder))?.as_fd(), task.path.parts().1)?
            }
            Ready::PutFile(Staged { shelf, name, .. }) => {
                open_in(place.shelf(*shelf), name.as_bytes())?
            }
            _ => return Ok(()),
        };
        fs.sync_file(&file)
    }

    fn flush_folders(&mut self) -> io::Result<()> {
        let fs = self.side.fs();
        if self.unflushed.len() > FLUSHED_ALONE {
            fs.sync_all(self.side.root.fd())?;
            self.unflushed.clear();
        }
        while let Some(folder) = self.unflushed.pop_first() {
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

/// With those that stand for several.
fn count(tasks: &[Task]) -> usize {
    let within = |task: &Task| match &task.ready {
        Ready::PutTree(tree) => tree.tasks.len(),
        _ => 0,
    };
    tasks.iter().map(|task| 1 + within(task)).sum()
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
