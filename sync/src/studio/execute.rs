//! Operations that come from the server.

use std::{collections::VecDeque, thread::Scope};

use proto::sync::v1::{
    self as pb, message::Body, operation::What as Do, result::Outcome, step::What as Step,
};

use crate::{
    RelPath,
    apply::{Applier, Ready},
    entry::{Digest, Entry},
    error::Error,
    gone::GoneTrees,
    moves::{Move, Moves},
    plan::Ended,
    side::{Side, Spelled},
    state::{Agreement, Anew, Updates, Word},
    transfer::{Announced, BasisFile, Job, Receipt, copy_local, read_copy, receive},
    wire::{self, Pipe, StepReader},
};

/// For conflict names of what the user wrote in the last moment.
const LABEL: &str = "studio";
/// Operations that may wait for a commit; the server commits much earlier.
const MOST_WAITING: usize = 100_000;

/// Carries out the server's operations.
pub(super) struct Executor<'s, 'a> {
    applier: Applier<'s, 'a>,
    /// Of each operation that waits: what it comes to when it is done.
    waiting: Vec<Made>,
    /// The same of batches that are being carried out.
    at_work: VecDeque<Vec<Made>>,
    /// What both sides agree on, unless the server says otherwise: what was told, and what was done since.
    pub(super) agreed: Agreement,
    /// Likewise.
    moved: Moves,
    /// Likewise.
    gone: GoneTrees,
    /// Nothing was told, and nothing is agreed yet: what is done is recorded as it is done.
    begins_anew: bool,
    anew: Option<Anew<'a>>,
}

/// What an operation comes to, as far as it says so.
enum Made {
    Entry(RelPath, Option<Entry>),
    Moved(Move),
    Gone(RelPath),
    Unsaid,
}

impl<'s, 'a> Executor<'s, 'a> {
    /// `has_base`: something was agreed before, and still counts.
    pub(super) fn new(
        scope: &'s Scope<'s, 'a>,
        here: &'a Side,
        told: Agreement,
        has_base: bool,
    ) -> Self {
        let mut applier = Applier::new(scope, here, LABEL);
        let begins_anew = !has_base && told.is_empty();
        if begins_anew {
            applier.each_path_once();
        }
        Self {
            applier,
            waiting: Vec::new(),
            at_work: VecDeque::new(),
            agreed: told,
            moved: here.seen.moved.clone(),
            gone: here.seen.gone.clone(),
            begins_anew,
            anew: None,
        }
    }

    /// The server dealt with a folder, which was told as moved or gone, path by path.
    pub(super) fn spell_out(&mut self, to: &RelPath) -> Result<(), Error> {
        let here = self.applier.side();
        if here.seen.gone.has(to) && self.gone.remove(to) {
            for (path, _) in here.agreed_tree(to)?.entries {
                self.agreed.entry(path).or_insert(None);
            }
            return Ok(());
        }
        let one = self.moved.remove(to).filter(|one| self.applier.side().seen.moved.has(one));
        let one = one.ok_or_else(|| Error::protocol("a move that was not told"))?;
        let agreed = &mut self.agreed;
        self.applier.side().spell(&one, |Spelled { from, to, what }| {
            // What was done there since is agreed in its place.
            agreed.entry(from).or_insert(None);
            agreed.entry(to).or_insert(what.agreed);
            Ok(())
        })
    }

    /// Nor is this, whatever was told of it or done.
    pub(super) fn except(&mut self, path: &RelPath) {
        if self.gone.remove(path) {
            return;
        }
        if self.begins_anew {
            // It may be recorded.
            self.agreed.insert(path.clone(), None);
        } else {
            self.agreed.remove(path);
        }
    }

    /// Everything that is here; waits only for contents that have begun.
    pub(super) fn run(&mut self, steps: &mut StepReader, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        while let Some(step) = steps.next_here() {
            match step? {
                Step::Operation(operation) => self.operation(operation, steps, pipe)?,
                Step::Commit(is_last) => self.commit(is_last, pipe)?,
                _ => return Err(Error::protocol("content without an operation")),
            }
        }
        Ok(())
    }

    fn operation(
        &mut self,
        operation: pb::Operation,
        steps: &mut StepReader,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let path = wire::path(&operation.path)?;
        if self.waiting.len() > MOST_WAITING {
            return Err(Error::protocol("more operations than can wait"));
        }
        let what = operation.what.ok_or_else(|| Error::protocol("an unknown operation"))?;
        let mut small = None;
        let ready = match what {
            Do::MakeFolder(_) => Ready::MakeFolder,
            Do::Delete(_) => Ready::Delete,
            Do::DeleteTree(_) => Ready::DeleteWhole,
            Do::SetExecutable(executable) => Ready::SetExecutable(executable),
            Do::Link(target) => Ready::PutLink(target.as_ref().into()),
            Do::MoveFolder(from) => Ready::MoveFolder(wire::path(&from)?),
            Do::PutLocal(local) => {
                let entry = local.entry.ok_or_else(|| Error::protocol("a copy of nothing"))?;
                let wanted = wire::local_entry(&entry)?;
                let source = wire::path(&local.source)?;
                let side = self.applier.side();
                let modified_ms = entry.modified_ms;
                let file = side.root.file(&source).ok();
                if let Some(content) = file.as_ref().and_then(|file| read_copy(file, &wanted)) {
                    let name = side.place.new_name();
                    small = Some(Job { name, content, entry: wanted, modified_ms });
                    Ready::Coming
                } else {
                    match file.map(|file| copy_local(side, file, &wanted, modified_ms)) {
                        Some(Ok(Some(staged))) => Ready::PutFile(staged),
                        None | Some(Ok(None)) => Ready::Failed(Ended::Changed),
                        Some(Err(error)) => Ready::Failed(Ended::Skipped(error.to_string())),
                    }
                }
            }
            Do::Put(entry) => {
                let wanted = wire::local_entry(&entry)?;
                let side = self.applier.side();
                let basis = |digest| basis(side, &path, digest);
                let announced = Announced { entry: &wanted, modified_ms: entry.modified_ms };
                match receive(side, pipe, steps, &announced, None, basis)? {
                    Receipt::Staged(staged) => Ready::PutFile(staged),
                    Receipt::Small(job) => {
                        small = Some(job);
                        Ready::Coming
                    }
                    Receipt::Failed(reason) => Ready::Failed(Ended::Skipped(reason)),
                    Receipt::Wrong => Ready::Failed(Ended::Changed),
                }
            }
        };
        let entry = match &ready {
            Ready::MakeFolder | Ready::NewFolder(_) | Ready::PutTree(_) => {
                Some(Some(Entry::Folder))
            }
            Ready::Delete | Ready::DeleteTree(_) => Some(None),
            Ready::PutFile(staged) => Some(Some(staged.entry.clone())),
            Ready::PutLink(target) => Some(Some(Entry::Link { target: target.clone() })),
            Ready::Coming => small.as_ref().map(|job| Some(job.entry.clone())),
            Ready::SetExecutable(_)
            | Ready::MoveFolder(_)
            | Ready::DeleteWhole
            | Ready::Failed(_) => None,
        };
        let made = match (entry, &ready) {
            (Some(entry), _) => Made::Entry(path.clone(), entry),
            (None, Ready::MoveFolder(from)) => {
                Made::Moved(Move { from: from.clone(), to: path.clone() })
            }
            (None, Ready::DeleteWhole) => Made::Gone(path.clone()),
            (None, _) => Made::Unsaid,
        };
        self.waiting.push(made);
        match small {
            Some(job) => self.applier.stage(path, job)?,
            None => self.applier.add(path, ready),
        }
        Ok(())
    }

    /// Batches are told of in their order. After the last one everything is durable before it is.
    fn commit(&mut self, is_last: bool, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        self.at_work.push_back(std::mem::take(&mut self.waiting));
        if !is_last {
            let before = self.applier.commit()?;
            return before.map_or(Ok(()), |ended| self.tell(ended, pipe));
        }
        let (before, last) = self.applier.finish()?;
        before.into_iter().chain([last]).try_for_each(|ended| self.tell(ended, pipe))
    }

    fn tell(&mut self, batch: Vec<Ended>, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        let mut results = Vec::with_capacity(batch.len());
        let made = self.at_work.pop_front().unwrap_or_default();
        for (ended, made) in batch.into_iter().zip(made) {
            match made {
                _ if ended != Ended::Done => {}
                Made::Entry(path, entry) => drop(self.agreed.insert(path, entry)),
                Made::Moved(one) if self.moved.add(one.clone()) => {}
                Made::Moved(_) => return Err(Error::protocol("moves that overlap")),
                Made::Gone(folder) if self.gone.add(folder.clone()) => {}
                Made::Gone(_) => return Err(Error::protocol("folders gone within each other")),
                Made::Unsaid => {}
            }
            results.push(result(ended));
        }
        pipe.send(Body::Results(pb::Results { results }))?;
        if self.begins_anew { self.record() } else { Ok(()) }
    }

    /// What was done so far.
    fn record(&mut self) -> Result<(), Error> {
        let here = self.applier.side();
        let updates = self.updates()?;
        let anew = match &mut self.anew {
            Some(anew) => anew,
            none => none.insert(here.state.begin_anew(here.fs().as_ref(), here.root_name)?),
        };
        anew.add(here.fs().as_ref(), &updates)
    }

    /// What is known now, and what is agreed.
    fn updates(&mut self) -> Result<Updates, Error> {
        let mut updates = self.applier.known()?;
        for (path, entry) in std::mem::take(&mut self.agreed) {
            updates.entry(path).or_default().agreed = Word::Now(entry);
        }
        Ok(updates)
    }

    /// Records what both sides have now.
    pub(super) fn agree(&mut self, begin_anew: bool) -> Result<(), Error> {
        self.applier.settle()?;
        let here = self.applier.side();
        if self.begins_anew {
            self.record()?;
            return self.anew.take().map_or(Ok(()), |anew| anew.finish(here.fs().as_ref()));
        }
        let updates = self.updates()?;
        let moved: Vec<Move> = std::mem::take(&mut self.moved).iter().collect();
        let gone: Vec<RelPath> = std::mem::take(&mut self.gone).iter().cloned().collect();
        here.state.agree(here.fs().as_ref(), &moved, &gone, &updates, begin_anew, here.root_name)
    }

    pub(super) fn end(mut self) -> Result<(), Error> {
        self.applier.settle()?;
        let updates = self.applier.known()?;
        let here = self.applier.side();
        here.state.learn(here.fs().as_ref(), &updates)
    }
}

fn result(ended: Ended) -> pb::Result {
    let (outcome, reason) = match ended {
        Ended::Done => (Outcome::Done, String::new()),
        Ended::Changed => (Outcome::Changed, String::new()),
        Ended::Skipped(reason) => (Outcome::Skipped, reason),
    };
    pb::Result { outcome: outcome.into(), reason }
}

/// The content that a delta is based on: what the scan saw at this path, if it still is that.
pub(crate) fn basis(
    side: &Side,
    path: &RelPath,
    digest: Digest,
) -> Result<Option<BasisFile>, Error> {
    let seen = side.saw(path)?;
    let is_it = seen.is_some_and(|seen| seen.entry.digest() == Some(digest));
    let Some(file) = side.root.file(path).ok().filter(|_| is_it) else { return Ok(None) };
    let is_proven = side.still(path, &file)? == Some(digest);
    Ok(Some(BasisFile { file, is_proven }))
}
