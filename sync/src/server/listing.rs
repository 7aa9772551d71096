//! The studio's tree, from what it tells.

use std::collections::BTreeMap;

use proto::sync::v1::message::Body;

use crate::{
    RelPath,
    entry::Tree,
    error::Error,
    index::Unknown,
    wire::{self, Pipe},
};

/// Most entries of a studio's mount: so much a hostile one may make the server remember.
const MOST_ENTRIES: usize = 5_000_000;

#[derive(Default)]
pub(super) struct Listed {
    pub tree: Tree,
    /// Only of what was told.
    pub modified_ms: BTreeMap<RelPath, i64>,
    pub unknown: BTreeMap<RelPath, Unknown>,
}

/// `base`: what the listing is told against.
pub(super) fn receive(pipe: &mut Pipe<'_>, base: Option<&Tree>) -> Result<Listed, Error> {
    let mut listed = Listed { tree: base.cloned().unwrap_or_default(), ..Listed::default() };
    loop {
        let Body::Listing(part) = pipe.recv()? else {
            return Err(Error::protocol("no listing"));
        };
        for entry in &part.entries {
            let (path, what) = wire::entry(entry)?;
            listed.modified_ms.insert(path.clone(), entry.modified_ms);
            listed.tree.insert(path, what);
        }
        for path in &part.gone {
            listed.tree.remove(&wire::path(path)?);
        }
        for unknown in part.unknown {
            let (reason, special) = (unknown.reason, unknown.special);
            listed.unknown.insert(wire::path(&unknown.path)?, Unknown { reason, special });
        }
        if listed.tree.len() > MOST_ENTRIES || listed.unknown.len() > MOST_ENTRIES {
            return Err(Error::protocol(format!("more than {MOST_ENTRIES} entries")));
        }
        if part.last {
            break;
        }
    }
    check(&listed.tree)?;
    Ok(listed)
}

/// Whatever is in a folder is in a folder.
fn check(tree: &Tree) -> Result<(), Error> {
    for path in tree.keys() {
        if let Some(folder) = path.parent()
            && !tree.get(&folder).is_some_and(crate::Entry::is_folder)
        {
            return Err(Error::protocol(format!("a listing in which {folder} is no folder")));
        }
    }
    Ok(())
}
