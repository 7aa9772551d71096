//! When one side has lost so much that it is probably an accident.

use std::collections::BTreeSet;

use super::{Input, Plan};
use crate::{
    entry::{Digest, Entry},
    outcome::MassDeletion,
    plan::{Action, Side},
};

/// Up to so many deletions nobody is asked, unless everything is gone.
const FEW: usize = 100;
/// A mount with fewer files is not *emptied* when they are deleted.
const SOME: usize = 2;

/// Puts the question into the plan; answers the side that lost files.
pub(super) fn question(input: &Input<'_>, plan: &mut Plan) -> Option<Side> {
    for lost_by in [Side::Studio, Side::Server] {
        let deleting = plan.operations(lost_by.other());
        let single = deleting
            .iter()
            .filter(|operation| operation.action == Action::Delete)
            .filter_map(|operation| Some((&operation.path, input.base.get(&operation.path)?)))
            .filter(|(path, entry)| !entry.is_folder() && !input.tree(lost_by).contains_key(*path))
            .map(|(_, entry)| entry.digest());
        let whole = input.gone.iter().filter(|(side, _)| *side == lost_by.other());
        let gone: Vec<Option<Digest>> =
            single.chain(whole.flat_map(|(_, tree)| tree.contents())).collect();
        let before = input.policy.lost_before.by(lost_by);
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        if gone.is_empty() {
            continue;
        }
        // What has only moved is not lost.
        let there: BTreeSet<Digest> =
            input.tree(lost_by).values().filter_map(Entry::digest).collect();
        let deletions = gone
            .iter()
            .filter(|content| content.is_none_or(|digest| !there.contains(&digest)))
            .count();
        let gone = gone.len();
        *plan.losses.by_mut(lost_by) = deletions as u64;
        // With what went a short while ago, against what there was then.
        let of = usize::try_from(input.counts.base).unwrap_or(usize::MAX).saturating_add(before);
        let all = deletions.saturating_add(before);
        let some = of >= SOME && gone.saturating_add(before) >= SOME;
        let emptied = some && input.files(lost_by) == 0;
        if emptied || (deletions > 0 && all > FEW && all.saturating_mul(2) > of) {
            plan.questions.push(MassDeletion { lost_by, deletions: all, before, of });
            return Some(lost_by);
        }
    }
    None
}

/// Deletes nothing on `side`; everything else goes on.
pub(super) fn withhold(side: Side, plan: &mut Plan) {
    *plan.losses.by_mut(side.other()) = 0;
    let operations = plan.operations(side);
    let withheld: BTreeSet<_> = operations
        .iter()
        .filter(|operation| operation.action.deletes())
        .map(|operation| operation.path.clone())
        .collect();
    operations.retain(|operation| {
        // Nor what would come in place of it.
        !withheld.contains(&operation.path)
            && !operation.path.ancestors().any(|folder| withheld.contains(&folder))
    });
    plan.agreed.retain(|path, _| {
        !withheld.contains(path) && !path.ancestors().any(|folder| withheld.contains(&folder))
    });
}
