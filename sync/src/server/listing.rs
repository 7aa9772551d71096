//! What the studio tells of itself.

use std::collections::BTreeMap;

use proto::sync::v1::message::Body;

use crate::{
    RelPath,
    error::Error,
    gone::GoneTrees,
    index::Unknown,
    moves::Moves,
    state::Agreement,
    wire::{self, Pipe},
};

/// Most entries of a studio's mount: so much a hostile one may make the server remember.
const MOST_ENTRIES: usize = 5_000_000;

#[derive(Default)]
pub(super) struct Listed {
    /// What differs from the agreed state, or everything; `None`: gone.
    pub told: Agreement,
    pub modified_ms: BTreeMap<RelPath, i64>,
    pub unknown: BTreeMap<RelPath, Unknown>,
    pub moved: Moves,
    pub gone: GoneTrees,
}

impl Listed {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
            && self.unknown.is_empty()
            && self.moved.is_empty()
            && self.gone.is_empty()
    }

    pub(super) fn check_size(&self) -> Result<(), Error> {
        if self.told.len() > MOST_ENTRIES || self.unknown.len() > MOST_ENTRIES {
            return Err(Error::protocol(format!("more than {MOST_ENTRIES} entries")));
        }
        Ok(())
    }
}

pub(super) fn receive(pipe: &mut Pipe<'_>) -> Result<Listed, Error> {
    let mut listed = Listed::default();
    loop {
        let Body::Listing(part) = pipe.recv()? else {
            return Err(Error::protocol("no listing"));
        };
        for entry in &part.entries {
            let (path, what) = wire::entry(entry)?;
            listed.modified_ms.insert(path.clone(), entry.modified_ms);
            listed.told.insert(path, Some(what));
        }
        for path in &part.gone {
            listed.told.insert(wire::path(path)?, None);
        }
        for unknown in part.unknown {
            let (reason, special) = (unknown.reason, unknown.special);
            listed.unknown.insert(wire::path(&unknown.path)?, Unknown { reason, special });
        }
        for moved in &part.moved {
            if !listed.moved.add(wire::one_move(moved)?) {
                return Err(Error::protocol("moves that overlap"));
            }
        }
        for folder in &part.gone_trees {
            if !listed.gone.add(wire::path(folder)?) {
                return Err(Error::protocol("folders gone within each other"));
            }
        }
        listed.check_size()?;
        if part.last {
            return Ok(listed);
        }
    }
}
