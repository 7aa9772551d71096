//! Operations that come from the server.

use std::fs::File;

use proto::sync::v1::{
    self as pb, message::Body, operation::What as Do, result::Outcome, step::What as Step,
};

use crate::{
    RelPath,
    apply::{Applier, Ready},
    entry::{Digest, Entry},
    error::Error,
    plan::Ended,
    side::Side,
    transfer::{Receipt, copy_local, receive},
    wire::{self, Pipe, StepReader},
};

/// For conflict names of what the user wrote in the last moment.
const LABEL: &str = "studio";
/// Operations that may wait for a commit; the server commits much earlier.
const MOST_WAITING: usize = 100_000;

/// Carries out the server's operations.
pub(super) struct Executor<'a> {
    applier: Applier<'a>,
    waiting: usize,
}

impl<'a> Executor<'a> {
    pub(super) fn new(here: &'a Side) -> Self {
        Self { applier: Applier::new(here, LABEL), waiting: 0 }
    }

    /// Everything that is here; waits only for contents that have begun.
    pub(super) fn run(&mut self, steps: &mut StepReader, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        while let Some(step) = steps.next_here() {
            match step? {
                Step::Operation(operation) => self.operation(operation, steps, pipe)?,
                Step::Commit(_) => self.commit(pipe)?,
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
        self.waiting += 1;
        if self.waiting > MOST_WAITING {
            return Err(Error::protocol("more operations than can wait"));
        }
        let what = operation.what.ok_or_else(|| Error::protocol("an unknown operation"))?;
        let ready = match what {
            Do::MakeFolder(_) => Ready::MakeFolder,
            Do::Delete(_) => Ready::Delete,
            Do::SetExecutable(executable) => Ready::SetExecutable(executable),
            Do::Link(target) => Ready::PutLink(target.as_ref().into()),
            Do::PutLocal(local) => {
                let entry = local.entry.ok_or_else(|| Error::protocol("a copy of nothing"))?;
                let wanted = wire::local_entry(&entry)?;
                let source = wire::path(&local.source)?;
                match copy_local(self.applier.side(), &source, &wanted, entry.modified_ms) {
                    Ok(Some(staged)) => Ready::PutFile(staged),
                    Ok(None) => Ready::Failed(Ended::Changed),
                    Err(error) => Ready::Failed(Ended::Skipped(error.to_string())),
                }
            }
            Do::Put(entry) => {
                let wanted = wire::local_entry(&entry)?;
                let side = self.applier.side();
                let basis = |digest| basis(side, &path, digest);
                match receive(side, pipe, steps, &wanted, basis)? {
                    Receipt::Staged(staged) => Ready::PutFile(staged),
                    Receipt::Failed(reason) => Ready::Failed(Ended::Skipped(reason)),
                    Receipt::Wrong => Ready::Failed(Ended::Changed),
                }
            }
        };
        self.applier.add(path, ready);
        Ok(())
    }

    fn commit(&mut self, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        self.waiting = 0;
        let results = self.applier.commit()?.into_iter().map(result).collect();
        pipe.send(Body::Results(pb::Results { results }))
    }

    /// Saves the next look at what was written from reading it.
    pub(super) fn remember(&mut self) -> Result<(), Error> {
        self.applier.remember()
    }

    pub(super) fn end(mut self) -> Result<(), Error> {
        self.applier.remember()
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
pub(crate) fn basis(side: &Side, path: &RelPath, digest: Digest) -> Option<File> {
    let seen = side.seen.entries.get(path)?;
    let is_it = matches!(&seen.entry, Entry::File { digest: known, .. } if *known == digest);
    if is_it { side.root.file(path).ok() } else { None }
}
