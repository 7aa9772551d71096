//! Recording what both sides have now.
//!
//! Most of it needs no words: what the studio listed, and what it did since, is agreed unless the server says otherwise.

use proto::sync::v1::{self as pb, message::Body};

use super::Run;
use crate::{
    RelPath,
    apply::Applier,
    entry::Entry,
    error::Error,
    reconcile::Plan,
    state::{Agreement, Word},
    wire::{BATCH_BYTES, Pipe, proto_entry},
};

impl Run<'_> {
    /// Everything that the plan did is on both disks when this is called.
    pub(super) fn agree(
        &mut self,
        plan: Plan,
        applier: &mut Applier<'_, '_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let mut agreement = plan.agreed;
        agreement.retain(|path, _| !self.failed.contains(path));
        for (path, entry) in std::mem::take(&mut self.fresher) {
            if agreement.contains_key(&path) {
                agreement.insert(path, Some(entry));
            }
        }
        let here = self.here;
        let mut updates = applier.known()?;
        updates.extend(here.known(std::mem::take(&mut self.known))?);
        let is_shared = self.ground.is_shared;
        if agreement.is_empty() && self.moved.is_empty() && self.gone.is_empty() && is_shared {
            here.state.learn(here.fs().as_ref(), &updates)?;
            return pipe.send(Body::Done(pb::Done {}));
        }
        // Two memories that differ can't be mended by a change: the studio gets the whole.
        let mut whole = None;
        if !is_shared && self.ground.agreed.is_some() {
            // The studio's will be what this one is; whether this one is sound is seen when it is opened again.
            here.state.distrust();
            let whole = whole.insert(Agreement::new());
            here.memory.each(
                |what| what.agreed.is_some(),
                |path, what| drop(whole.insert(path, what.agreed)),
            )?;
            whole.extend(agreement.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        }
        // Both sides record it at the same time. Should only one come to it, the next run compares everything.
        self.tell(whole.as_ref().unwrap_or(&agreement), pipe)?;
        drop(whole);
        for (path, entry) in agreement {
            updates.entry(path).or_default().agreed = Word::Now(entry);
        }
        let begin_anew = self.ground.agreed.is_none();
        let fs = here.fs().as_ref();
        here.state.agree(fs, &self.moved, &self.gone, &updates, begin_anew, self.studio_root)?;
        drop(updates);
        end(pipe)
    }

    /// What differs from what the studio takes for agreed by itself.
    pub(super) fn tell(&self, agreement: &Agreement, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        let mut telling = Telling { agreed: pb::Agreed::default(), bytes: 0, pipe };
        for path in &self.spelled {
            telling.spelled(path)?;
        }
        for (path, entry) in agreement {
            match (self.told.get(path), entry) {
                (Some(told), entry) if told == entry => {}
                (None, None) if !self.ground.is_shared => {}
                (_, Some(entry)) => telling.entry(path, entry)?,
                (_, None) => telling.gone(path)?,
            }
        }
        for path in self.told.keys() {
            if !agreement.contains_key(path) {
                telling.except(path)?;
            }
        }
        for folder in &self.kept {
            telling.except(folder)?;
        }
        telling.agreed.last = true;
        telling.pipe.send(Body::Agreed(telling.agreed))
    }
}

/// The studio has recorded it too.
pub(super) fn end(pipe: &mut Pipe<'_>) -> Result<(), Error> {
    match pipe.recv()? {
        Body::Done(_) => pipe.send(Body::Done(pb::Done {})),
        _ => Err(Error::protocol("no word that the agreed state is recorded")),
    }
}

struct Telling<'p, 'l> {
    agreed: pb::Agreed,
    bytes: usize,
    pipe: &'p mut Pipe<'l>,
}

impl Telling<'_, '_> {
    fn entry(&mut self, path: &RelPath, entry: &Entry) -> Result<(), Error> {
        self.agreed.entries.push(proto_entry(path, entry, 0));
        let target = if let Entry::Link { target } = entry { target.len() } else { 0 };
        self.grown(path, target)
    }

    fn gone(&mut self, path: &RelPath) -> Result<(), Error> {
        self.agreed.gone.push(path.as_bytes().to_vec().into());
        self.grown(path, 0)
    }

    fn spelled(&mut self, to: &RelPath) -> Result<(), Error> {
        self.agreed.spelled.push(to.as_bytes().to_vec().into());
        self.grown(to, 0)
    }

    fn except(&mut self, path: &RelPath) -> Result<(), Error> {
        self.agreed.except.push(path.as_bytes().to_vec().into());
        self.grown(path, 0)
    }

    fn grown(&mut self, path: &RelPath, more: usize) -> Result<(), Error> {
        self.bytes += path.as_bytes().len() + more + 64;
        if self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.pipe.send(Body::Agreed(std::mem::take(&mut self.agreed)))
    }
}
