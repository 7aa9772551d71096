//! The server's end of a run: it leads and decides.

mod agree;
mod listing;
mod pull;
mod push;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    RelPath, Side as Which,
    apply::Applier,
    context::Context,
    entry::{Entry, Tree},
    error::Error,
    exclusions::Exclusions,
    link::Link,
    outcome::{Outcome, Progress, Skipped, Stats},
    plan::{Ended, Operation},
    reconcile::{Input, Plan, Policy, Times, reconcile},
    request::{Direction, Request},
    side::{Layout, Side, absolute},
    state::distrusting,
    wire::{PROTOCOL, Pipe, root_name},
};

/// A zone's folder, or a part of one, on the server.
#[derive(Debug, Clone)]
pub struct ServerSide {
    /// Absolute.
    pub root: PathBuf,
    /// Absolute, not below the root, this pair of zone and studio's own.
    pub state_dir: PathBuf,
    /// Absolute, on the root's file system.
    pub trash: PathBuf,
    /// The studio never changes the server.
    pub one_way: bool,
    pub exclusions: Exclusions,
    /// For conflict names.
    pub studio_label: String,
}

/// What a run works with.
struct Run<'a> {
    here: &'a Side,
    request: &'a Request,
    base: Tree,
    server: Tree,
    studio: Tree,
    /// Whether both remember the same.
    changes_only: bool,
    studio_root: [u8; 16],
    outcome: Outcome,
    /// Paths whose operation did not succeed.
    failed: BTreeSet<RelPath>,
    /// What was received in place of what was listed.
    fresher: BTreeMap<RelPath, Entry>,
    done: Progress,
}

/// Synchronises. One run a zone at a time: the caller holds the zone. Blocks; ends early when the context is cancelled or the
/// link is lost, and then what is done is done.
pub fn run(
    side: &ServerSide,
    request: &Request,
    link: &mut dyn Link,
    context: &Context,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Error> {
    distrusting(&side.state_dir, || run_once(side, request, link, context, progress))
}

fn run_once(
    side: &ServerSide,
    request: &Request,
    link: &mut dyn Link,
    context: &Context,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Error> {
    let began = context.clock.now();
    let layout = Layout {
        root: &absolute(&side.root, "the zone's folder")?,
        state_dir: &absolute(&side.state_dir, "the folder for what is remembered")?,
        trash: Some(&absolute(&side.trash, "the trash")?),
        identity: "server",
    };
    let mut here = Side::open(&layout, context)?;
    let mut pipe = Pipe::new(link);
    let mark = here.state.base_mark()?;
    pipe.send(Body::Hello(pb::Hello {
        protocol: PROTOCOL,
        base: mark.as_ref().map(|mark| mark.digest.to_vec().into()).unwrap_or_default(),
        root: mark.as_ref().map(|mark| mark.studio_root.to_vec().into()).unwrap_or_default(),
    }))?;
    here.look(&side.exclusions)?;
    let Body::Welcome(welcome) = pipe.recv()? else {
        return Err(Error::protocol("no welcome"));
    };
    let studio_root = root_name(&welcome.root)?;
    // Another pod, or another folder: nothing is agreed with it.
    let is_known = mark.is_some_and(|mark| mark.studio_root == studio_root);
    let base = if is_known { here.state.base()? } else { Tree::new() };
    let listed = listing::receive(&mut pipe, welcome.changes_only.then_some(&base))?;
    let server: Tree =
        here.seen.entries.iter().map(|(path, seen)| (path.clone(), seen.entry.clone())).collect();
    let times = Times {
        server: here
            .seen
            .entries
            .iter()
            .map(|(path, seen)| (path.clone(), seen.stamp().modified_ms()))
            .collect(),
        studio: listed.modified_ms,
    };
    let unknown: BTreeSet<RelPath> =
        here.seen.unknown.keys().chain(listed.unknown.keys()).cloned().collect();
    let policy = Policy {
        direction: request.direction,
        one_way: side.one_way,
        on_conflict: request.on_conflict,
        on_mass_deletion: request.on_mass_deletion,
        resolutions: request
            .resolutions
            .iter()
            .map(|resolution| (resolution.path.clone(), resolution.clone()))
            .collect(),
        label: side.studio_label.clone(),
        now: context.clock.now(),
    };
    let plan = reconcile(&Input {
        base: &base,
        server: &server,
        studio: &listed.tree,
        times: &times,
        unknown: &unknown,
        exclusions: &side.exclusions,
        policy: &policy,
    });
    drop(times);
    let mut outcome = Outcome {
        stats: Stats {
            server_entries: server.len() as u64,
            studio_entries: listed.tree.len() as u64,
            ..Stats::default()
        },
        ..Outcome::default()
    };
    let skipped = here.seen.unknown.iter().chain(&listed.unknown);
    outcome.skipped = skipped
        .map(|(path, unknown)| Skipped {
            path: path.clone(),
            reason: unknown.reason.clone(),
            special: unknown.special,
        })
        .collect();
    let mut run = Run {
        here: &here,
        request,
        base,
        server,
        studio: listed.tree,
        changes_only: welcome.changes_only,
        studio_root,
        outcome,
        failed: BTreeSet::new(),
        fresher: BTreeMap::new(),
        done: Progress::default(),
    };
    run.carry_out(plan, &side.studio_label, &mut pipe, progress)?;
    let mut outcome = run.outcome;
    outcome.stats.bytes_sent = pipe.sent_bytes();
    outcome.stats.bytes_received = pipe.received_bytes();
    outcome.stats.took = context.clock.now().saturating_sub(began);
    Ok(outcome)
}

impl Run<'_> {
    fn carry_out(
        &mut self,
        mut plan: Plan,
        label: &str,
        pipe: &mut Pipe<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        self.outcome.conflicts = std::mem::take(&mut plan.conflicts);
        self.outcome.questions = std::mem::take(&mut plan.questions);
        self.done.files = (plan.server.len() + plan.studio.len()) as u64;
        self.fetch_asked(pipe)?;
        if self.request.direction == Direction::Check {
            self.report_planned(&plan);
            return pipe.send(Body::Done(pb::Done {}));
        }
        let mut applier = Applier::new(self.here, label);
        self.pull(&mut applier, &plan.server, pipe, progress)?;
        let copies = std::mem::take(&mut plan.copies);
        let (safe, unsafe_yet): (Vec<Operation>, Vec<Operation>) =
            std::mem::take(&mut plan.studio).into_iter().partition(|operation| {
                copies.get(&operation.path).is_none_or(|copy| !self.failed.contains(copy))
            });
        self.push(&safe, pipe, progress)?;
        for operation in unsafe_yet {
            let reason = "the copy of the studio's version could not be made".to_owned();
            self.ended(Which::Studio, &operation, Ended::Skipped(reason));
        }
        let mut applier = self.agree(plan, applier, pipe)?;
        applier.remember()?;
        for path in applier.displaced() {
            self.outcome.kept_both.push(path.clone());
        }
        Ok(())
    }

    /// Remembers how an operation ended.
    fn ended(&mut self, side: Which, operation: &Operation, ended: Ended) {
        self.done.files_done += 1;
        match ended {
            Ended::Done => self.report_done(side, operation),
            Ended::Changed => {
                self.failed.insert(operation.path.clone());
                let reason = "it changed meanwhile; the next synchronisation looks at it again";
                self.skip(operation, reason.to_owned());
            }
            Ended::Skipped(reason) => {
                self.failed.insert(operation.path.clone());
                self.skip(operation, format!("on the {}: {reason}", side.name()));
            }
        }
    }

    fn skip(&mut self, operation: &Operation, reason: String) {
        self.outcome.skipped.push(Skipped { path: operation.path.clone(), reason, special: false });
    }
}
