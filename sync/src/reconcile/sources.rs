//! Contents that a side has already, under another path: renamed and copied files don't travel.

use std::collections::{BTreeSet, HashMap};

use crate::{
    RelPath,
    entry::{Digest, Entry, Tree},
    plan::{Action, Operation, Phase, Source},
};

/// Below this asking costs as much as sending.
const SMALLEST_BYTES: u64 = 1;

/// Points operations to local sources. They are carried out in order: so a source must still be there when its copy is made.
pub(super) fn find(tree: &Tree, operations: &mut [Operation]) {
    let is_wanted = |operation: &Operation| matches!(&operation.action, Action::PutFile { source: Source::Peer(_), entry, .. } if entry.size() >= SMALLEST_BYTES);
    if !operations.iter().any(is_wanted) {
        return;
    }
    let changed: BTreeSet<RelPath> = operations
        .iter()
        .filter(|operation| operation.action != Action::Delete)
        .map(|operation| operation.path.clone())
        .collect();
    let deleted: BTreeSet<RelPath> = operations
        .iter()
        .filter(|operation| operation.action == Action::Delete)
        .map(|operation| operation.path.clone())
        .collect();
    // A content that stays is the better source: it is good in every phase.
    let mut sources: HashMap<Digest, (&RelPath, bool)> = HashMap::new();
    for (path, entry) in tree {
        if let Entry::File { digest, .. } = entry
            && !changed.contains(path)
        {
            let stays = !deleted.contains(path);
            let known = sources.entry(*digest).or_insert((path, stays));
            if stays && !known.1 {
                *known = (path, true);
            }
        }
    }
    for operation in operations.iter_mut().filter(|operation| is_wanted(operation)) {
        let late = operation.phase == Phase::Late;
        if let Action::PutFile { entry, source, .. } = &mut operation.action
            && let Some((path, stays)) = entry.digest().and_then(|digest| sources.get(&digest))
            && (*stays || !late)
        {
            *source = Source::Local((*path).clone());
        }
    }
}
