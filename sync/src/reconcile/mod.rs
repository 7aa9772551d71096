//! What has to happen so that both sides become one: a pure function of the agreed state, both sides and the policy.
//!
//! Per path, three ways: changed on one side, it flows to the other; changed on both to different things, it is a conflict and
//! neither side is touched, unless somebody decided. Nothing is known of a path below something that could not be read: then
//! nothing happens there. Paths are visited from the innermost out, so that a folder knows whether something in it stays.

mod conflict;
mod decide;
mod mass;
mod sources;

pub(crate) use sources::{Sources, wanted};

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    RelPath,
    entry::Tree,
    exclusions::Exclusions,
    gone::GoneTree,
    moves::Move,
    outcome::{Conflict, Losses, MassDeletion},
    plan::{Action, Operation, Phase, Side},
    request::{Direction, OnConflict, OnMassDeletion, Resolution},
    state::Agreement,
};

/// Everything that a decision depends on. The trees hold every path that is not the same in all three, and may hold others.
pub(crate) struct Input<'a> {
    pub base: &'a Tree,
    pub server: &'a Tree,
    pub studio: &'a Tree,
    pub counts: Counts,
    pub times: &'a Times,
    /// Nothing is known of these nor of what is below them, on either side.
    pub unknown: &'a BTreeSet<RelPath>,
    pub exclusions: &'a Exclusions,
    pub policy: &'a Policy,
    /// To be done on a side. Nothing in the trees is below their paths.
    pub moves: &'a [(Side, Move)],
    /// Folders that go as a whole on a side. Nothing in the trees is at, above or below their paths.
    pub gone: &'a [(Side, GoneTree)],
}

/// Entries that are no folders, of the whole trees.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub base: u64,
    pub server: u64,
    pub studio: u64,
}

/// When files were modified, for people; in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub server: BTreeMap<RelPath, i64>,
    pub studio: BTreeMap<RelPath, i64>,
}

#[derive(Debug)]
pub(crate) struct Policy {
    pub direction: Direction,
    pub one_way: bool,
    pub on_conflict: OnConflict,
    pub on_mass_deletion: OnMassDeletion,
    pub lost_before: Losses,
    pub resolutions: BTreeMap<RelPath, Resolution>,
    /// Of the studio, for conflict names.
    pub label: String,
    pub now: Duration,
}

impl Policy {
    /// Whether changes may be made on a side.
    pub(crate) fn changes(&self, side: Side) -> bool {
        match (side, self.direction) {
            (Side::Server, _) if self.one_way => false,
            (_, Direction::Both | Direction::Check)
            | (Side::Server, Direction::ToServer)
            | (Side::Studio, Direction::ToStudio) => true,
            (Side::Server, Direction::ToStudio) | (Side::Studio, Direction::ToServer) => false,
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In the order in which they are to be carried out.
    pub server: Vec<Operation>,
    pub studio: Vec<Operation>,
    /// What is agreed once the operations on its path succeeded on both sides.
    pub agreed: Agreement,
    /// What was kept beside, by the path whose version it is: that path may only be changed once the copy is safe.
    pub copies: BTreeMap<RelPath, RelPath>,
    /// Names that copies of this run have.
    pub copy_names: BTreeSet<RelPath>,
    pub conflicts: Vec<Conflict>,
    pub questions: Vec<MassDeletion>,
    pub losses: Losses,
}

impl Plan {
    /// Brings operations into the order in which they are carried out.
    pub(crate) fn order(&mut self) {
        for operations in [&mut self.server, &mut self.studio] {
            // Folders before what is in them; deletions the other way round.
            operations.sort_by(|a, b| {
                a.phase.cmp(&b.phase).then_with(|| {
                    if a.phase == Phase::Deletions {
                        b.path.cmp(&a.path)
                    } else {
                        a.path.cmp(&b.path)
                    }
                })
            });
        }
    }

    fn operations(&mut self, side: Side) -> &mut Vec<Operation> {
        match side {
            Side::Server => &mut self.server,
            Side::Studio => &mut self.studio,
        }
    }
}

impl Input<'_> {
    pub(crate) fn tree(&self, side: Side) -> &Tree {
        match side {
            Side::Server => self.server,
            Side::Studio => self.studio,
        }
    }

    fn files(&self, side: Side) -> u64 {
        match side {
            Side::Server => self.counts.server,
            Side::Studio => self.counts.studio,
        }
    }

    fn modified_ms(&self, side: Side, path: &RelPath) -> i64 {
        let times = match side {
            Side::Server => &self.times.server,
            Side::Studio => &self.times.studio,
        };
        times.get(path).copied().unwrap_or(-1)
    }
}

/// Decides.
pub(crate) fn reconcile(input: &Input<'_>) -> Plan {
    let mut plan = decide::decide(input, None);
    for (side, tree) in input.gone {
        let (phase, path) = (Phase::Deletions, tree.path.clone());
        plan.operations(*side).push(Operation { phase, path, action: Action::DeleteTree });
    }
    if let Some(lost) = mass::question(input, &mut plan) {
        match input.policy.on_mass_deletion {
            OnMassDeletion::Allow => plan.questions.clear(),
            OnMassDeletion::Restore => plan = decide::decide(input, Some(lost)),
            OnMassDeletion::Ask => mass::withhold(lost.other(), &mut plan),
        }
    }
    for (side, one) in input.moves {
        let action = Action::MoveFolder { from: one.from.clone() };
        let operation = Operation { phase: Phase::Early, path: one.to.clone(), action };
        plan.operations(*side).push(operation);
    }
    plan.order();
    plan.conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    plan
}
