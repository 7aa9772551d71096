//! A first copy into an empty studio. There is nothing to compare with and nothing to lose: what a walk through the zone meets is
//! decided on, sent and recorded batch by batch. So the first file is on its way at once, and a zone of any size needs the memory of
//! a few batches.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use proto::sync::v1::step::What as Step;

use super::{Run, agree, push::ON_THEIR_WAY};
use crate::{
    RelPath,
    entry::{Entry, Tree},
    error::Error,
    index::{Met, Scanned, Walk},
    outcome::Skipped,
    plan::Operation,
    reconcile::{Counts, Input, Policy, Times, reconcile},
    side::Side,
    state::{Agreement, Anew, Update, Updates, Word},
    threads,
    transfer::{Small, read_small},
    watch::{Look, Seen},
    wire::{Pipe, StepWriter},
};

/// A batch has so many entries or bytes.
const BATCH_ENTRIES: usize = 8_000;
const BATCH_BYTES: u64 = 64 << 20;
/// Batches that the walk may be ahead.
const AHEAD: usize = 1;

/// What is sent at once.
struct Batch {
    seen: BTreeMap<RelPath, Scanned>,
    operations: Vec<Operation>,
    agreed: Agreement,
}

impl Batch {
    /// What an operation sends, if it is small.
    fn read(&self, here: &Side, operation: &Operation) -> Option<Small> {
        read_small(&here.root, &operation.path, self.seen.get(&operation.path)?)
    }
}

fn walk(mut walk: Walk<'_>, batches: &SyncSender<Result<Met, Error>>) {
    while let Some(met) = walk.next(BATCH_ENTRIES, BATCH_BYTES).transpose() {
        let is_last = met.is_err();
        // Whoever took them has broken off.
        if batches.send(met).is_err() || is_last {
            return;
        }
    }
}

impl Run<'_> {
    /// Nothing is agreed, or that there is nothing; and nothing is in the studio.
    pub(super) fn first_copy(
        &mut self,
        policy: &Policy,
        look: Option<Look>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let (here, exclusions) = (self.here, &self.side.exclusions);
        let fs = here.fs().as_ref();
        let mut anew = here.state.begin_anew(fs, self.studio_root)?;
        let differing = std::thread::scope(|scope| {
            let (batches, met) = sync_channel(AHEAD);
            let walking = Walk::new(&here.root, exclusions, &here.context.cancel, look.as_ref());
            scope.spawn(move || walk(walking, &batches));
            self.send_all(policy, &met, &mut anew, pipe)
        })?;
        // Both sides record it at the same time.
        self.tell(&differing, pipe)?;
        anew.finish(fs)?;
        agree::end(pipe)?;
        if let Some(look) = look {
            look.end(Seen::default());
        }
        Ok(())
    }

    /// Answers what is agreed and the studio does not take for agreed; what it does, and is not, is left in `told`.
    fn send_all(
        &mut self,
        policy: &Policy,
        met: &Receiver<Result<Met, Error>>,
        anew: &mut Anew<'_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<Agreement, Error> {
        let (mut out, mut on_their_way) = (StepWriter::default(), VecDeque::new());
        let mut differing = Differing::default();
        let mut next = met.recv().ok().transpose()?;
        while let Some(met_now) = next {
            let batch = self.decide_on(met_now, policy);
            next = met.recv().ok().transpose()?;
            let is_last = next.is_none();
            self.send_batch(&batch, &mut out, pipe)?;
            out.push(pipe, Step::Commit(is_last))?;
            out.flush(pipe)?;
            on_their_way.push_back(batch);
            while on_their_way.len() > if is_last { 0 } else { ON_THEIR_WAY } {
                let Some(batch) = on_their_way.pop_front() else { break };
                self.results(&batch.operations, pipe)?;
                let updates = self.updates(batch, &mut differing);
                anew.add(self.here.fs().as_ref(), &updates)?;
            }
        }
        self.told = differing.told;
        Ok(differing.agreed)
    }

    fn decide_on(&mut self, met: Met, policy: &Policy) -> Batch {
        let seen: BTreeMap<RelPath, Scanned> = met.there.into_iter().collect();
        let server: Tree = seen.iter().map(|(path, it)| (path.clone(), it.entry.clone())).collect();
        let modified = |(path, it): (&RelPath, &Scanned)| (path.clone(), it.stamp().modified_ms());
        let times = Times { server: seen.iter().map(modified).collect(), ..Times::default() };
        let nothing = Tree::new();
        let plan = reconcile(&Input {
            base: &nothing,
            server: &server,
            studio: &nothing,
            counts: Counts { server: server.len() as u64, ..Counts::default() },
            times: &times,
            unknown: &met.unknown.iter().map(|(path, _)| path.clone()).collect(),
            exclusions: &self.side.exclusions,
            policy,
            moves: &[],
            gone: &[],
        });
        self.outcome.stats.server_entries += seen.len() as u64;
        let skipped = met.unknown.into_iter().map(|(path, unknown)| Skipped {
            path,
            reason: unknown.reason,
            special: unknown.special,
        });
        self.outcome.skipped.extend(skipped);
        let bytes = plan.studio.iter().map(Operation::bytes).sum();
        self.here.context.meter.expect(plan.studio.len() as u64, bytes);
        Batch { seen, operations: plan.studio, agreed: plan.agreed }
    }

    fn send_batch(
        &mut self,
        batch: &Batch,
        out: &mut StepWriter,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let here = self.here;
        threads::ahead(
            &batch.operations,
            |operation| batch.read(here, operation),
            |operation, small| {
                here.context.cancel.check()?;
                self.send_operation(operation, small, pipe, out).map(drop)
            },
        )
    }

    /// What there is to remember of a batch that was carried out.
    fn updates(&mut self, batch: Batch, differing: &mut Differing) -> Updates {
        let Batch { seen, agreed, .. } = batch;
        let mut updates = Updates::new();
        for (path, seen) in seen {
            let known = match (self.read.remove(&path), &seen.entry) {
                (Some(read), _) => read,
                // Nobody can tell what it is.
                (None, entry) if entry.is_unread() => continue,
                (None, entry) => self.here.read_since(entry, *seen.stamp()),
            };
            if agreed.contains_key(&path) && !self.failed.contains(&path) {
                differing.keep(&mut self.told, &path, &known.entry);
                updates.entry(path.clone()).or_default().agreed =
                    Word::Now(Some(known.entry.clone()));
            }
            updates.entry(path).or_default().seen = Update::seen(Some(known)).seen;
        }
        differing.told.append(&mut self.told);
        updates
    }
}

/// What the studio takes for agreed, and is not; and the other way round.
#[derive(Default)]
struct Differing {
    told: Agreement,
    agreed: Agreement,
}

impl Differing {
    fn keep(&mut self, told: &mut Agreement, path: &RelPath, agreed: &Entry) {
        if told.remove(path).flatten().as_ref() != Some(agreed) {
            self.agreed.insert(path.clone(), Some(agreed.clone()));
        }
    }
}
