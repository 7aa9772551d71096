//! The server's end of a run: it leads and decides.

mod agree;
mod ask;
mod back;
mod compare;
mod first;
mod listing;
mod moves;
mod pull;
mod push;
mod report;
mod shadow;
mod trees;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    RelPath, Side as Which,
    apply::Applier,
    context::Context,
    entry::{Entry, Tree},
    error::Error,
    exclusions::Exclusions,
    gone::GoneTree,
    index::Known,
    link::Link,
    moves::Move,
    outcome::{Outcome, Skipped, Stats},
    plan::{Action, Ended, Operation},
    reconcile::{Input, Plan, Policy, Times, reconcile},
    request::{Direction, Request},
    server::{
        back::Back,
        compare::{Ground, Picture},
        listing::Listed,
    },
    side::{Layout, Side, absolute},
    state::{Agreement, distrusting},
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
    side: &'a ServerSide,
    request: &'a Request,
    ground: Ground,
    /// Of paths that differ somewhere, as are the other two.
    base: Tree,
    server: Tree,
    studio: Tree,
    /// What the studio said of itself, and what it did since: so it takes it for agreed.
    told: Agreement,
    studio_root: [u8; 16],
    outcome: Outcome,
    /// Paths whose operation did not succeed.
    failed: BTreeSet<RelPath>,
    /// What was received or sent in place of what was listed.
    fresher: BTreeMap<RelPath, Entry>,
    /// New folders that come back out of the trash.
    back: Vec<Back>,
    /// What is known of those.
    known: Vec<(RelPath, Option<Known>)>,
    /// What a walk left unread, and was read since.
    read: BTreeMap<RelPath, Known>,
    /// That both sides have now.
    moved: Vec<Move>,
    /// Folders that go as a whole on a side.
    trees: BTreeMap<RelPath, GoneTree>,
    /// That both sides have no more.
    gone: Vec<RelPath>,
    /// That the studio has no more, and the server still has.
    kept: BTreeSet<RelPath>,
    /// Moves of the studio, and folders that it has no more, that were dealt with path by path.
    spelled: Vec<RelPath>,
    /// Moves that could not be done on a side.
    stuck: Vec<(Which, Move)>,
    /// Folders that could not go as a whole on a side.
    torn: Vec<(Which, GoneTree)>,
}

/// Synchronises. One run a zone at a time: the caller holds the zone. Blocks; ends early when the context is cancelled or the
/// link is lost, and then what is done is done.
pub fn run(
    side: &ServerSide,
    request: &Request,
    link: &mut dyn Link,
    context: &Context,
) -> Result<Outcome, Error> {
    distrusting(&side.state_dir, || run_once(side, request, link, context))
}

fn run_once(
    side: &ServerSide,
    request: &Request,
    link: &mut dyn Link,
    context: &Context,
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
    let before = here.state.agreed()?;
    pipe.send(Body::Hello(pb::Hello {
        protocol: PROTOCOL,
        base: before.map(|it| it.tally.digest().to_vec().into()).unwrap_or_default(),
        root: before.map(|it| it.studio_root.to_vec().into()).unwrap_or_default(),
    }))?;
    let Body::Welcome(welcome) = pipe.recv()? else {
        return Err(Error::protocol("no welcome"));
    };
    let studio_root = root_name(&welcome.root)?;
    // Another pod, or another folder: nothing is agreed with it.
    let agreed = before.filter(|before| before.studio_root == studio_root);
    if welcome.changes_only && agreed.is_none() {
        return Err(Error::protocol("changes of something that was never agreed"));
    }
    let ground = Ground { agreed, is_shared: welcome.changes_only };
    // Of a studio that is empty, it is heard first.
    let early = if only_sends(request, ground, welcome.empty) {
        Some(listing::receive(&mut pipe)?)
    } else {
        None
    };
    if early.as_ref().is_some_and(Listed::is_empty) {
        let look = here.begin_walk(&side.exclusions)?;
        let policy = policy(&here, side, request);
        let mut run = Run::new(&here, side, request, (ground, studio_root));
        run.first_copy(&policy, look, &mut pipe)?;
        return Ok(ended(run.outcome, &pipe, began, context));
    }
    here.look(&side.exclusions, ground.agreed.is_some())?;
    let mut listed = match early {
        Some(listed) => listed,
        None => listing::receive(&mut pipe)?,
    };
    let can = welcome.protocol;
    let moves = moves::sort(&mut here, &mut listed, ground, side, request, can)?;
    let trees = trees::sort(&mut here, &mut listed, ground, side, request, can)?;
    let sorted = (moves, trees);
    let mut picture =
        Picture::new(&here, ground, &mut listed, request, &side.studio_label, sorted)?;
    compare::check(&here, ground, &listed, &picture.studio)?;
    let mut plan = decide(&here, side, request, &picture);
    for (path, entry) in picture.disowned(ground, &listed) {
        plan.agreed.entry(path).or_insert(entry);
    }
    // There is one for each file, and the plan has those that it needs.
    picture.times = Times::default();
    let back = match request.direction {
        Direction::Check => Vec::new(),
        Direction::Both | Direction::ToServer | Direction::ToStudio => {
            back::find(&here, &mut plan.server)?
        }
    };
    picture.find_sources(&here, &mut plan)?;
    let mut run = Run {
        outcome: outcome(&here, &listed, &picture),
        base: picture.base,
        server: picture.server,
        studio: picture.studio,
        told: listed.told,
        back,
        moved: picture.moves.done,
        kept: picture.trees.on(Which::Server).map(|tree| tree.path.clone()).collect(),
        gone: picture.trees.done.into_iter().map(|tree| tree.path).collect(),
        trees: picture.trees.to_do.into_iter().map(|(_, it)| (it.path.clone(), it)).collect(),
        spelled: [picture.moves.spelled, picture.trees.spelled].concat(),
        ..Run::new(&here, side, request, (ground, studio_root))
    };
    run.carry_out(plan, &mut pipe)?;
    Ok(ended(run.outcome, &pipe, began, context))
}

fn ended(mut outcome: Outcome, pipe: &Pipe<'_>, began: Duration, context: &Context) -> Outcome {
    outcome.stats.bytes_sent = pipe.sent_bytes();
    outcome.stats.bytes_received = pipe.received_bytes();
    outcome.stats.took = context.clock.now().saturating_sub(began);
    outcome
}

/// Whether everything goes to a studio that seems to be empty, and nothing is agreed with it.
fn only_sends(request: &Request, ground: Ground, seems_empty: bool) -> bool {
    seems_empty
        && ground.agreed.is_none_or(|agreed| agreed.is_of_nothing())
        && request.is_plain()
        && request.direction != Direction::ToServer
}

fn decide(here: &Side, side: &ServerSide, request: &Request, picture: &Picture) -> Plan {
    let policy = policy(here, side, request);
    reconcile(&Input {
        base: &picture.base,
        server: &picture.server,
        studio: &picture.studio,
        counts: picture.counts,
        times: &picture.times,
        unknown: &picture.unknown,
        exclusions: &side.exclusions,
        policy: &policy,
        moves: &picture.moves.to_do,
        gone: &picture.trees.to_do,
    })
}

fn policy(here: &Side, side: &ServerSide, request: &Request) -> Policy {
    let resolutions = request.resolutions.iter();
    Policy {
        direction: request.direction,
        one_way: side.one_way,
        on_conflict: request.on_conflict,
        on_mass_deletion: request.on_mass_deletion,
        lost_before: request.lost_before,
        resolutions: resolutions.map(|it| (it.path.clone(), it.clone())).collect(),
        label: side.studio_label.clone(),
        now: here.context.clock.now(),
    }
}

/// Before anything is done.
fn outcome(here: &Side, listed: &Listed, picture: &Picture) -> Outcome {
    let skipped = here.seen.unknown.iter().chain(&listed.unknown);
    Outcome {
        stats: Stats {
            server_entries: here.seen.entries,
            studio_entries: picture.studio_entries,
            ..Stats::default()
        },
        skipped: skipped
            .map(|(path, unknown)| Skipped {
                path: path.clone(),
                reason: unknown.reason.clone(),
                special: unknown.special,
            })
            .collect(),
        ..Outcome::default()
    }
}

impl<'a> Run<'a> {
    /// In which nothing was found and nothing was done.
    fn new(
        here: &'a Side,
        side: &'a ServerSide,
        request: &'a Request,
        (ground, studio_root): (Ground, [u8; 16]),
    ) -> Self {
        Self {
            here,
            side,
            request,
            ground,
            base: Tree::new(),
            server: Tree::new(),
            studio: Tree::new(),
            told: Agreement::new(),
            studio_root,
            outcome: Outcome::default(),
            failed: BTreeSet::new(),
            fresher: BTreeMap::new(),
            back: Vec::new(),
            known: Vec::new(),
            read: BTreeMap::new(),
            moved: Vec::new(),
            trees: BTreeMap::new(),
            gone: Vec::new(),
            kept: BTreeSet::new(),
            spelled: Vec::new(),
            stuck: Vec::new(),
            torn: Vec::new(),
        }
    }
}

impl Run<'_> {
    fn carry_out(&mut self, mut plan: Plan, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        self.outcome.conflicts = std::mem::take(&mut plan.conflicts);
        self.outcome.questions = std::mem::take(&mut plan.questions);
        self.outcome.losses = plan.losses;
        self.expect(&plan);
        self.fetch_asked(pipe)?;
        if self.request.direction == Direction::Check {
            self.report_planned(&plan);
            self.keep_shadow(pipe)?;
            return pipe.send(Body::Done(pb::Done {}));
        }
        std::thread::scope(|scope| {
            let mut applier = Applier::new(scope, self.here, &self.side.studio_label);
            self.do_both(plan, &mut applier, pipe)
        })
    }

    fn do_both(
        &mut self,
        mut plan: Plan,
        applier: &mut Applier<'_, '_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        self.take_back(&mut plan)?;
        self.pull(applier, &plan.server, pipe)?;
        let copies = std::mem::take(&mut plan.copies);
        let (safe, unsafe_yet): (Vec<Operation>, Vec<Operation>) =
            std::mem::take(&mut plan.studio).into_iter().partition(|operation| {
                copies.get(&operation.path).is_none_or(|copy| !self.failed.contains(copy))
            });
        self.push(&safe, pipe)?;
        for operation in unsafe_yet {
            let reason = "the copy of the studio's version could not be made".to_owned();
            self.ended(Which::Studio, &operation, Ended::Skipped(reason));
        }
        self.spell_out_stuck(&mut plan, applier, pipe)?;
        self.spell_out_torn(&mut plan, applier, pipe)?;
        // They may be many, and nobody asks for them any more.
        drop((std::mem::take(&mut plan.server), safe));
        for tree in [&mut self.base, &mut self.server, &mut self.studio] {
            *tree = Tree::new();
        }
        self.agree(plan, applier, pipe)?;
        for path in applier.displaced() {
            self.outcome.kept_both.push(path.clone());
        }
        Ok(())
    }

    /// So much more is to be done.
    fn expect(&self, plan: &Plan) {
        let bytes = plan.server.iter().chain(&plan.studio).map(Operation::bytes).sum();
        let back: usize = self.back.iter().map(Back::count).sum();
        let count = plan.server.len() + plan.studio.len() + back;
        self.here.context.meter.expect(count as u64, bytes);
    }

    /// Remembers how an operation ended.
    fn ended(&mut self, side: Which, operation: &Operation, ended: Ended) {
        self.here.context.meter.done();
        if let Action::MoveFolder { from } = &operation.action {
            let one = Move { from: from.clone(), to: operation.path.clone() };
            if ended == Ended::Done {
                self.moved.push(one);
                self.report_done(side, operation);
            } else {
                tracing::debug!(?one, ?ended, "dealt with path by path");
                self.stuck.push((side, one));
            }
            return;
        }
        if operation.action == Action::DeleteTree
            && let Some(tree) = self.trees.get(&operation.path)
        {
            if ended == Ended::Done {
                let path = tree.path.clone();
                self.kept.remove(&path);
                self.report_gone(side, &path);
                self.gone.push(path);
            } else {
                tracing::debug!(path = %tree.path, ?ended, "dealt with path by path");
                self.torn.push((side, tree.clone()));
            }
            return;
        }
        match ended {
            Ended::Done => {
                if side == Which::Studio
                    && let Some((path, entry)) = self.takes_for_agreed(operation)
                {
                    self.told.insert(path, entry);
                }
                self.report_done(side, operation);
            }
            Ended::Changed => {
                if side == Which::Studio {
                    // Somebody wrote there at this moment; or it never was what this side remembers of it, and never will be.
                    self.here.state.distrust();
                }
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

    /// What the studio makes of an operation that it carried out.
    fn takes_for_agreed(&self, operation: &Operation) -> Option<(RelPath, Option<Entry>)> {
        let path = operation.path.clone();
        let entry = match &operation.action {
            Action::MakeFolder => Some(Entry::Folder),
            Action::Delete => None,
            // It does not know what else there is to the one; the other is kept apart.
            Action::SetExecutable(_) | Action::MoveFolder { .. } | Action::DeleteTree => {
                return None;
            }
            Action::PutFile { entry, .. } => {
                let read = || self.read.get(&path).map(|known| &known.entry);
                Some(self.fresher.get(&path).or_else(read).unwrap_or(entry).clone())
            }
            Action::PutLink { target } => Some(Entry::Link { target: target.clone() }),
        };
        Some((path, entry))
    }

    fn skip(&mut self, operation: &Operation, reason: String) {
        self.outcome.skipped.push(Skipped { path: operation.path.clone(), reason, special: false });
    }
}
