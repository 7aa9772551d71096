//! Recording what both sides have now.

use proto::sync::v1::{self as pb, message::Body};

use super::Run;
use crate::{
    apply::Applier,
    error::Error,
    reconcile::Plan,
    state::Agreement,
    wire::{BATCH_BYTES, Pipe, proto_entry},
};

impl Run<'_> {
    /// Everything that the plan did is on both disks when this is called.
    pub(super) fn agree<'a>(
        &mut self,
        plan: Plan,
        applier: Applier<'a>,
        pipe: &mut Pipe<'_>,
    ) -> Result<Applier<'a>, Error> {
        let mut agreement = plan.agreed;
        agreement.retain(|path, _| !self.failed.contains(path));
        for (path, entry) in std::mem::take(&mut self.fresher) {
            if agreement.contains_key(&path) {
                agreement.insert(path, Some(entry));
            }
        }
        let knew = self.changes_only;
        if agreement.is_empty() && knew {
            pipe.send(Body::Done(pb::Done {}))?;
            return Ok(applier);
        }
        // Two memories that differ can't be mended by a change: the studio gets the whole.
        let begin_anew = self.base.is_empty();
        let here = self.here;
        here.state.agree(
            here.fs().as_ref(),
            &mut self.base,
            &agreement,
            begin_anew,
            self.studio_root,
        )?;
        if knew {
            tell(&agreement, pipe)?;
        } else {
            let whole: Agreement =
                self.base.iter().map(|(path, entry)| (path.clone(), Some(entry.clone()))).collect();
            tell(&whole, pipe)?;
        }
        match pipe.recv()? {
            Body::Done(_) => {}
            _ => return Err(Error::protocol("no word that the agreed state is recorded")),
        }
        pipe.send(Body::Done(pb::Done {}))?;
        Ok(applier)
    }
}

fn tell(agreement: &Agreement, pipe: &mut Pipe<'_>) -> Result<(), Error> {
    let mut agreed = pb::Agreed::default();
    let mut bytes = 0;
    for (path, entry) in agreement {
        match entry {
            Some(entry) => agreed.entries.push(proto_entry(path, entry, 0)),
            None => agreed.gone.push(path.as_bytes().to_vec().into()),
        }
        bytes += path.as_bytes().len() + 64;
        if let Some(crate::Entry::Link { target }) = entry {
            bytes += target.len();
        }
        if bytes >= BATCH_BYTES {
            bytes = 0;
            pipe.send(Body::Agreed(std::mem::take(&mut agreed)))?;
        }
    }
    agreed.last = true;
    pipe.send(Body::Agreed(agreed))
}
