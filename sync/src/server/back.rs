//! New folders whose like is in the trash: they are taken back out of it by one rename, instead of copying file by file.
//!
//! What lies in the trash is proven by its content first. It is moved and not linked: whoever writes to it later writes to the
//! folder alone, and the trash has what they replaced as of any other file.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::AsFd,
};

use super::{Run, compare::SEARCHED_BYTES};
use crate::{
    RelPath, Side as Which,
    apply::{Wanted, prove},
    error::Error,
    index::Known,
    plan::{Action, Ended, Operation, Phase, Source},
    reconcile::Plan,
    side::Side,
    trash::{self, Thing},
};

/// A new folder whose like is in the trash, with the operations that this stands for.
pub(super) struct Back {
    path: RelPath,
    thing: Thing,
    known: Vec<(RelPath, Known)>,
    operations: Vec<Operation>,
}

impl Back {
    pub(super) fn count(&self) -> usize {
        self.operations.len()
    }
}

/// Takes them out of what is to be done on the server.
pub(super) fn find(here: &Side, operations: &mut Vec<Operation>) -> Result<Vec<Back>, Error> {
    let groups = groups(operations);
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: HashMap<&RelPath, Wanted<'_>> =
        groups.iter().map(|(path, group)| (*path, wanted(group))).collect();
    let is_like = |path: &RelPath, note: &trash::Note| {
        wanted.get_key_value(path).is_some_and(|(path, wanted)| wanted.is_noted(path, note))
    };
    let things = trash::search_folders(here.place.trash(), is_like);
    let mut found = BTreeMap::new();
    for (path, thing) in things.map_err(Error::io("search the trash"))? {
        let Some(wanted) = wanted.get(&path) else { continue };
        // What can't be read, or is not that any more, comes file by file.
        let known = match thing.folder(here.place.trash()) {
            Ok(folder) => prove(here, folder, &path, wanted)?,
            Err(_) => None,
        };
        if let Some(known) = known {
            found.insert(path.clone(), Back { path, thing, known, operations: Vec::new() });
        }
    }
    let mut rest = Vec::new();
    for operation in std::mem::take(operations) {
        let above = operation.path.ancestors().find(|above| found.contains_key(above));
        let back = found.get_mut(above.as_ref().unwrap_or(&operation.path));
        back.map_or(&mut rest, |back| &mut back.operations).push(operation);
    }
    *operations = rest;
    Ok(found.into_values().collect())
}

/// The outermost of the new folders in which everything is new and worth it, with all that is to be done there.
fn groups(operations: &[Operation]) -> Vec<(&RelPath, Vec<&Operation>)> {
    let is_new = |operation: &Operation| operation.phase == Phase::Early;
    let folders = operations.iter().filter(|it| is_new(it) && it.action == Action::MakeFolder);
    let mut groups: BTreeMap<&RelPath, (bool, Vec<&Operation>)> = BTreeMap::new();
    // Folders come before what is in them.
    for folder in folders {
        if !folder.path.ancestors().any(|above| groups.contains_key(&above)) {
            groups.insert(&folder.path, (true, Vec::new()));
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    for operation in operations {
        let path = &operation.path;
        let top = path.ancestors().find(|above| groups.contains_key(above));
        let Some((is_plain, group)) = groups.get_mut(top.as_ref().unwrap_or(path)) else {
            continue;
        };
        *is_plain &= is_new(operation)
            && match &operation.action {
                Action::MakeFolder | Action::PutLink { .. } => true,
                Action::PutFile { source, .. } => matches!(source, Source::Peer(_)),
                Action::Delete
                | Action::DeleteTree
                | Action::SetExecutable(_)
                | Action::MoveFolder { .. } => false,
            };
        group.push(operation);
    }
    let bytes = |group: &[&Operation]| group.iter().map(|it| it.bytes()).sum::<u64>();
    groups
        .into_iter()
        .filter(|(_, (is_plain, group))| *is_plain && bytes(group) >= SEARCHED_BYTES)
        .map(|(path, (_, group))| (path, group))
        .collect()
}

fn wanted<'o>(group: &[&'o Operation]) -> Wanted<'o> {
    let mut wanted = Wanted::default();
    for operation in group {
        let path = &operation.path;
        match &operation.action {
            Action::PutFile { entry, modified_ms, .. } => wanted.file(path, entry, *modified_ms),
            Action::PutLink { target } => wanted.link(path, target),
            _ => wanted.folder(path),
        }
    }
    wanted
}

impl Run<'_> {
    /// Takes them back. What can't be any more is done with the rest of the plan.
    pub(super) fn take_back(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let here = self.here;
        let fs = here.fs().as_ref();
        for back in std::mem::take(&mut self.back) {
            let (parent, name) = back.path.split();
            let taken = here.root.folder(parent.as_ref()).and_then(|parent| {
                back.thing.take(here.place.trash(), fs, parent.as_fd(), name)?;
                Ok(parent)
            });
            match taken {
                Ok(parent) => {
                    fs.sync_folder(parent.as_fd())
                        .map_err(Error::at("make durable", &back.path))?;
                    let known = back.known.into_iter().map(|(path, known)| (path, Some(known)));
                    self.known.extend(known);
                    for operation in &back.operations {
                        self.ended(Which::Server, operation, Ended::Done);
                    }
                }
                Err(error) => {
                    tracing::debug!(path = %back.path, %error, "not taken back as a whole");
                    plan.server.extend(back.operations);
                    plan.order();
                }
            }
        }
        Ok(())
    }
}
