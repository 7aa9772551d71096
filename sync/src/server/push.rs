//! Server → studio.

use std::collections::VecDeque;

use proto::sync::v1::{
    self as pb, message::Body, operation::What as Do, result::Outcome, step::What as Step,
};

use super::Run;
use crate::{
    RelPath, Side as Which,
    entry::{Digest, Entry},
    error::Error,
    plan::{Action, Ended, Operation, Source},
    side::Side,
    threads,
    transfer::{Announced, SMALL_BYTES, Sent, Small, read_small, send, send_small},
    wire::{Pipe, StepWriter, proto_local_entry},
};

/// A batch is committed when it has so many operations or bytes.
const BATCH_OPERATIONS: usize = 8_000;
const BATCH_BYTES: u64 = 64 << 20;
/// Batches whose results may be on their way while the next is sent: one is being staged there, one is being carried out.
pub(super) const ON_THEIR_WAY: usize = 2;

/// A small file that will be sent.
fn read_ahead(here: &Side, operation: &Operation) -> Option<Small> {
    match &operation.action {
        Action::PutFile { entry, source: Source::Peer(path), .. } if entry.size() < SMALL_BYTES => {
            let seen = here.saw(path).ok()??;
            read_small(&here.root, path, &seen)
        }
        _ => None,
    }
}

impl Run<'_> {
    pub(super) fn push(
        &mut self,
        operations: &[Operation],
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let mut out = StepWriter::default();
        let mut on_their_way: VecDeque<&[Operation]> = VecDeque::new();
        let (mut begun, mut bytes, mut at) = (0, 0, 0);
        let here = self.here;
        threads::ahead(
            operations,
            |operation| read_ahead(here, operation),
            |operation, small| {
                self.here.context.cancel.check()?;
                bytes += self.send_operation(operation, small, pipe, &mut out)?;
                let last = at + 1 == operations.len();
                if last || at + 1 - begun >= BATCH_OPERATIONS || bytes >= BATCH_BYTES {
                    out.push(pipe, Step::Commit(last))?;
                    out.flush(pipe)?;
                    on_their_way.push_back(operations.get(begun..=at).unwrap_or_default());
                    (begun, bytes) = (at + 1, 0);
                    while on_their_way.len() > if last { 0 } else { ON_THEIR_WAY } {
                        let Some(batch) = on_their_way.pop_front() else { break };
                        self.results(batch, pipe)?;
                    }
                }
                at += 1;
                Ok(())
            },
        )
    }

    pub(super) fn results(
        &mut self,
        batch: &[Operation],
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let Body::Results(results) = pipe.recv()? else {
            return Err(Error::protocol("no results"));
        };
        if results.results.len() != batch.len() {
            return Err(Error::protocol("results of something else"));
        }
        for (operation, result) in batch.iter().zip(results.results) {
            let ended = match result.outcome() {
                Outcome::Done => Ended::Done,
                Outcome::Changed => Ended::Changed,
                Outcome::Skipped | Outcome::Unspecified => Ended::Skipped(result.reason),
            };
            self.ended(Which::Studio, operation, ended);
        }
        Ok(())
    }

    /// Answers how much content went.
    pub(super) fn send_operation(
        &mut self,
        operation: &Operation,
        small: Option<Small>,
        pipe: &mut Pipe<'_>,
        out: &mut StepWriter,
    ) -> Result<u64, Error> {
        let path = &operation.path;
        let tell = |pipe: &mut Pipe<'_>, out: &mut StepWriter, what: Do| {
            let path = path.as_bytes().to_vec().into();
            out.push(pipe, Step::Operation(pb::Operation { path, what: Some(what) }))
        };
        match &operation.action {
            Action::MakeFolder => tell(pipe, out, Do::MakeFolder(true)).map(|()| 0),
            Action::Delete => tell(pipe, out, Do::Delete(true)).map(|()| 0),
            Action::DeleteTree => tell(pipe, out, Do::DeleteTree(true)).map(|()| 0),
            Action::SetExecutable(executable) => {
                tell(pipe, out, Do::SetExecutable(*executable)).map(|()| 0)
            }
            Action::PutLink { target } => {
                tell(pipe, out, Do::Link(target.to_vec().into())).map(|()| 0)
            }
            Action::MoveFolder { from } => {
                tell(pipe, out, Do::MoveFolder(from.as_bytes().to_vec().into())).map(|()| 0)
            }
            Action::PutFile { entry, modified_ms, source } => {
                // What a walk left unread was read ahead; if it was not so simple, the end of its content tells.
                let read = small.as_ref().filter(|_| entry.is_unread());
                let read = read.map(|small| self.note_read(path, small));
                let entry = read.as_ref().unwrap_or(entry);
                let wanted = proto_local_entry(entry, *modified_ms);
                match source {
                    Source::Local(source) => {
                        let source = source.as_bytes().to_vec().into();
                        let local = pb::Local { source, entry: Some(wanted) };
                        tell(pipe, out, Do::PutLocal(local)).map(|()| 0)
                    }
                    Source::Trash(_) => {
                        Err(Error::protocol("a source that only the server's own operations have"))
                    }
                    Source::Given(content) => {
                        tell(pipe, out, Do::Put(wanted.clone()))?;
                        out.push(pipe, Step::Begin(pb::Begin::default()))?;
                        out.data(pipe, content)?;
                        out.push(pipe, Step::End(wanted))?;
                        Ok(content.len() as u64)
                    }
                    Source::Peer(source) => {
                        tell(pipe, out, Do::Put(wanted))?;
                        self.send_content(operation, (source, small), entry, pipe, out)
                    }
                }
            }
        }
    }

    /// What a file is that a walk left unread. Such a one is sent from where it goes.
    fn note_read(&mut self, path: &RelPath, small: &Small) -> Entry {
        let known = self.here.read_since(&small.entry, small.stamp);
        self.read.insert(path.clone(), known);
        small.entry.clone()
    }

    fn send_content(
        &mut self,
        operation: &Operation,
        (source, small): (&RelPath, Option<Small>),
        wanted: &Entry,
        pipe: &mut Pipe<'_>,
        out: &mut StepWriter,
    ) -> Result<u64, Error> {
        let basis = self.studio_basis(&operation.path);
        let modified_ms = match &operation.action {
            Action::PutFile { modified_ms, .. } => *modified_ms,
            _ => -1,
        };
        let announced = Announced { entry: wanted, modified_ms };
        let announced = Some(&announced);
        let (meter, size) = (&self.here.context.meter, wanted.size());
        meter.begin(&operation.path, size, small.is_some());
        let sent = match small {
            Some(small) => send_small(pipe, out, small, None, announced)?,
            None => send(self.here, pipe, out, source, basis, announced)?,
        };
        meter.end(if matches!(sent, Sent::Whole(..)) { size } else { 0 });
        if let Sent::Whole(sent, stamp) = sent
            && !sent.same_content(wanted)
        {
            if wanted.is_unread() {
                let known = self.here.read_since(&sent, stamp);
                self.read.insert(operation.path.clone(), known);
            } else {
                self.fresher.insert(operation.path.clone(), sent);
            }
        }
        Ok(wanted.size())
    }

    /// What the studio has at a path and both remember.
    fn studio_basis(&self, path: &RelPath) -> Option<Digest> {
        let there = self.studio.get(path)?;
        if self.base.get(path)? == there { there.digest() } else { None }
    }
}
