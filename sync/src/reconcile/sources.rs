//! Contents that a side has already, under another path: renamed and copied files don't travel.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    RelPath,
    entry::{Digest, Entry},
    plan::{Action, Operation, Phase, Source},
    trash::Thing,
};

/// Contents that would have to come from the other side.
pub(crate) fn wanted(operations: &[Operation]) -> HashSet<Digest> {
    operations.iter().filter_map(digest).collect()
}

fn digest(operation: &Operation) -> Option<Digest> {
    match &operation.action {
        Action::PutFile { source: Source::Peer(_), entry, .. } if entry.size() > 0 => {
            entry.digest()
        }
        _ => None,
    }
}

/// Where a side has wanted contents.
pub(crate) struct Sources<'a> {
    wanted: &'a HashSet<Digest>,
    changed: BTreeSet<RelPath>,
    deleted: BTreeSet<RelPath>,
    /// Deleted with all that is in them.
    trees: BTreeSet<RelPath>,
    /// With the first path, and whether it stays: what does is the better source, good in every phase.
    found: HashMap<Digest, (RelPath, bool)>,
    trash: HashMap<Digest, Thing>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(wanted: &'a HashSet<Digest>, operations: &[Operation]) -> Self {
        let paths = |deleted: bool| {
            operations
                .iter()
                .filter(|operation| operation.action.deletes() == deleted)
                .map(|operation| operation.path.clone())
                .collect()
        };
        let trees = operations.iter().filter(|operation| operation.action == Action::DeleteTree);
        Self {
            wanted,
            changed: paths(false),
            deleted: paths(true),
            trees: trees.map(|operation| operation.path.clone()).collect(),
            found: HashMap::new(),
            trash: HashMap::new(),
        }
    }

    /// The side has this there.
    pub(crate) fn add(&mut self, path: &RelPath, entry: &Entry) {
        let Some(digest) = entry.digest().filter(|digest| self.wanted.contains(digest)) else {
            return;
        };
        if self.changed.contains(path) {
            return;
        }
        let goes_within = || path.ancestors().any(|above| self.trees.contains(&above));
        let stays = !self.deleted.contains(path) && (self.trees.is_empty() || !goes_within());
        match self.found.get(&digest) {
            Some((_, known_stays)) if *known_stays || !stays => {}
            _ => drop(self.found.insert(digest, (path.clone(), stays))),
        }
    }

    /// What the side's trash has.
    pub(crate) fn add_trash(&mut self, trash: HashMap<Digest, Thing>) {
        self.trash = trash;
    }

    /// Points operations to local sources. They are carried out in order: so a source must still be there when its copy is
    /// made.
    pub(crate) fn point(&self, operations: &mut [Operation]) {
        for operation in operations {
            let late = operation.phase == Phase::Late;
            let Some(digest) = digest(operation) else { continue };
            let here = self.found.get(&digest).filter(|(_, stays)| *stays || !late);
            let here = here.map(|(path, _)| Source::Local(path.clone()));
            let here = here.or_else(|| self.trash.get(&digest).cloned().map(Source::Trash));
            if let (Action::PutFile { source, .. }, Some(here)) = (&mut operation.action, here) {
                *source = here;
            }
        }
    }
}
