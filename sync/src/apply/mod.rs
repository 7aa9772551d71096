//! Carrying out operations so that a crash at any point, and a user who writes at the same moment, lose nothing.
//!
//! In batches: contents are staged and verified; made durable, with notes about what they will displace; looked at once more; made
//! visible by renames that never overwrite (`RENAME_NOREPLACE`) or that swap (`RENAME_EXCHANGE`), after which what was displaced
//! is inspected: as expected, it goes to the trash; otherwise somebody wrote in between, and their version is kept under a
//! conflict name. In the end folders are made durable; only then may anything be remembered.
//!
//! ```text
//!  caller's thread   stage 1 │ stage 2            │ stage 3            │
//!  another                   │ flush 1, name 1    │ flush 2, name 2    │ flush 3, name 3, flush
//! ```
//! The flush of one batch's contents takes the names of the batch before along.

mod back;
mod carry;
mod hand;
mod moving;
mod names;
mod new;
mod tree;

pub(crate) use back::{Wanted, prove};
pub(crate) use names::{conflict_name, copy_prefix};

use std::{
    io,
    os::fd::OwnedFd,
    thread::{Scope, ScopedJoinHandle},
};

use self::{
    carry::Carrier,
    new::{Filled, NewFolders, NewTree},
    tree::Tree,
};
use crate::{
    RelPath,
    error::Error,
    fs::Root,
    index::Known,
    plan::Ended,
    side::Side,
    state::Updates,
    transfer::{Home, Job, Staged, Writers},
};

/// Up to so many files or folders are flushed one by one; more by flushing the file system.
const FLUSHED_ALONE: usize = 64;
/// A batch is committed when it has so many operations,
const BATCH_OPERATIONS: usize = 8_000;
/// or so many bytes.
const BATCH_BYTES: u64 = 256 << 20;

/// What is to happen at a path, with its content at hand.
pub(crate) enum Ready {
    MakeFolder,
    /// As [`Self::MakeFolder`], of a folder that lies in the staging folder.
    NewFolder(Filled),
    /// As [`Self::NewFolder`], with all that came into it.
    PutTree(Box<NewTree>),
    Delete,
    /// A folder with all that the last look saw in it, or not at all.
    DeleteWhole,
    /// As [`Self::DeleteWhole`], or what stands for several [`Self::Delete`].
    DeleteTree(Box<Tree>),
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
        matches!(self, Self::Delete | Self::DeleteWhole | Self::DeleteTree(_))
    }

    const fn is_folder(&self) -> bool {
        matches!(
            self,
            Self::MakeFolder | Self::NewFolder(_) | Self::PutTree(_) | Self::MoveFolder(_)
        )
    }
}

/// How the operations of a batch ended, in their order.
pub(crate) type Batch = Vec<Ended>;

/// A batch that is being carried out.
type AtWork<'s, 'a> = ScopedJoinHandle<'s, (Carrier<'a>, Result<Batch, Error>)>;

/// Carries out operations on one side: a batch while the next one is staged.
pub(crate) struct Applier<'s, 'a> {
    scope: &'s Scope<'s, 'a>,
    side: &'a Side,
    /// `None`: it is at work.
    carrier: Option<Carrier<'a>>,
    at_work: Option<AtWork<'s, 'a>>,
    writers: Option<Writers>,
    new: NewFolders,
    waiting: Vec<(RelPath, Ready)>,
    waiting_bytes: u64,
    /// For the index, of what was carried out.
    made: Vec<(RelPath, Option<Known>)>,
}

impl<'s, 'a> Applier<'s, 'a> {
    /// `label`: for conflict names.
    pub(crate) fn new(scope: &'s Scope<'s, 'a>, side: &'a Side, label: &'a str) -> Self {
        Self {
            scope,
            side,
            carrier: Some(Carrier::new(side, label)),
            at_work: None,
            writers: None,
            new: NewFolders::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            made: Vec::new(),
        }
    }

    /// No path has more than one operation: what was made of those before need not be known.
    pub(crate) fn each_path_once(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            carrier.each_path_once = true;
        }
    }

    pub(crate) const fn side(&self) -> &'a Side {
        self.side
    }

    pub(crate) fn add(&mut self, path: RelPath, ready: Ready) {
        let ready = match ready {
            Ready::MakeFolder => {
                self.new.make(self.side, &path).map_or(Ready::MakeFolder, Ready::NewFolder)
            }
            ready => ready,
        };
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
        let side = self.side();
        let writers = match &mut self.writers {
            Some(writers) => writers,
            none => {
                let fs = side.fs();
                let start = || -> io::Result<Writers> {
                    let shelves = side.place.shelves(fs.as_ref(), Writers::count())?;
                    let shelves = shelves.iter().map(OwnedFd::try_clone);
                    let stage = Root::of(side.place.staged(None)?);
                    Writers::start(fs, stage, shelves.collect::<io::Result<_>>()?)
                };
                none.insert(start().map_err(Error::io("prepare the staging folder"))?)
            }
        };
        self.waiting_bytes += job.entry.size();
        let home = self.new.above(&path).map(|folder| {
            let (_, name) = path.parts();
            Home { folder: folder.clone(), name: name.to_vec() }
        });
        writers.stage(self.waiting.len(), job, home);
        self.waiting.push((path, Ready::Coming));
        Ok(())
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH_OPERATIONS || self.waiting_bytes >= BATCH_BYTES
    }

    /// Has what waits carried out, while more is staged. Answers how the batch before ended, if there is one that was not told
    /// of. Durable are batches only after [`Self::finish`] or [`Self::settle`].
    pub(crate) fn commit(&mut self) -> Result<Option<Batch>, Error> {
        let waiting = self.take_waiting();
        let before = self.wait()?;
        if let Some(mut carrier) = self.carrier.take() {
            self.at_work = Some(self.scope.spawn(move || {
                let ended = carrier.carry_out(waiting);
                (carrier, ended)
            }));
        }
        Ok(before)
    }

    /// Carries out what waits. Answers how it and the batch before ended; everything is durable then.
    pub(crate) fn finish(&mut self) -> Result<(Option<Batch>, Batch), Error> {
        let waiting = self.take_waiting();
        let before = self.wait()?;
        let carrier = self.carrier()?;
        let last = carrier.carry_out(waiting)?;
        carrier.settle()?;
        self.keep_known();
        Ok((before, last))
    }

    /// Waits for the batch that is being carried out, and makes everything durable.
    pub(crate) fn settle(&mut self) -> Result<Option<Batch>, Error> {
        let before = self.wait()?;
        self.carrier()?.settle()?;
        Ok(before)
    }

    fn carrier(&mut self) -> Result<&mut Carrier<'a>, Error> {
        let lost = || Error::io("carry out a batch")(io::ErrorKind::Interrupted.into());
        self.carrier.as_mut().ok_or_else(lost)
    }

    fn wait(&mut self) -> Result<Option<Batch>, Error> {
        let Some(at_work) = self.at_work.take() else { return Ok(None) };
        let (carrier, ended) = match at_work.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        self.carrier = Some(carrier);
        self.keep_known();
        ended.map(Some)
    }

    fn keep_known(&mut self) {
        let known = self.carrier.as_mut().map(Carrier::take_known);
        self.made.extend(known.unwrap_or_default());
    }

    fn take_waiting(&mut self) -> Vec<(RelPath, Ready)> {
        self.take_written();
        self.new.clear();
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
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

    /// What is to be remembered of what was made since this was asked last: it saves the next look from reading it. Of what is being
    /// carried out nothing is known yet. Where paths may have several operations, nothing more is carried out then.
    pub(crate) fn known(&mut self) -> Result<Updates, Error> {
        if let Some(carrier) = &mut self.carrier {
            carrier.forget_made();
        }
        let made = std::mem::take(&mut self.made);
        if made.is_empty() { Ok(Updates::new()) } else { self.side.known(made) }
    }

    /// Conflict copies of what somebody wrote in the last moment.
    pub(crate) fn displaced(&self) -> &[RelPath] {
        self.carrier.as_ref().map(|carrier| carrier.displaced.as_slice()).unwrap_or_default()
    }
}
