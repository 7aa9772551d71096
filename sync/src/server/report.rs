//! Changes, for people.

use super::Run;
use crate::{
    RelPath, Side as Which,
    entry::Entry,
    outcome::{Change, ChangeKind},
    plan::{Action, Operation, Phase},
    reconcile::Plan,
};

impl Run<'_> {
    /// An operation that succeeded.
    pub(super) fn report_done(&mut self, side: Which, operation: &Operation) {
        let change = self.change(side, operation);
        if operation.phase == Phase::Copies && !self.outcome.kept_both.contains(&change.path) {
            self.outcome.kept_both.push(change.path.clone());
        }
        let changes = match side {
            Which::Server => &mut self.outcome.server_changes,
            Which::Studio => &mut self.outcome.studio_changes,
        };
        changes.push(change);
    }

    /// A folder that went as a whole: each path, as if it had gone alone.
    pub(super) fn report_gone(&mut self, side: Which, folder: &RelPath) {
        let Some(tree) = self.trees.get(folder) else { return };
        let changes = match side {
            Which::Server => &mut self.outcome.server_changes,
            Which::Studio => &mut self.outcome.studio_changes,
        };
        changes.extend(tree.entries.iter().rev().map(|(path, entry)| Change {
            path: path.clone(),
            from: None,
            kind: ChangeKind::Deleted,
            is_folder: entry.is_folder(),
        }));
    }

    /// What would happen.
    pub(super) fn report_planned(&mut self, plan: &Plan) {
        self.outcome.server_changes =
            plan.server.iter().map(|operation| self.change(Which::Server, operation)).collect();
        self.outcome.studio_changes =
            plan.studio.iter().map(|operation| self.change(Which::Studio, operation)).collect();
    }

    fn change(&self, side: Which, operation: &Operation) -> Change {
        let tree = match side {
            Which::Server => &self.server,
            Which::Studio => &self.studio,
        };
        let before = tree.get(&operation.path);
        let (kind, is_folder) = match &operation.action {
            Action::MakeFolder => (ChangeKind::Created, true),
            Action::DeleteTree => (ChangeKind::Deleted, true),
            Action::Delete => (ChangeKind::Deleted, before.is_some_and(Entry::is_folder)),
            Action::SetExecutable(_) => (ChangeKind::Modified, false),
            Action::PutFile { .. } | Action::PutLink { .. } => {
                let new = before.is_none_or(Entry::is_folder);
                (if new { ChangeKind::Created } else { ChangeKind::Modified }, false)
            }
            Action::MoveFolder { .. } => (ChangeKind::Moved, true),
        };
        let from = match &operation.action {
            Action::MoveFolder { from } => Some(from.clone()),
            _ => None,
        };
        Change { path: operation.path.clone(), from, kind, is_folder }
    }
}
