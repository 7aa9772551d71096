//! Folders that moved on one side: one operation on the other where nothing there speaks against it, and else path by path.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Run,
    compare::{Ground, Picture},
    decide,
    listing::Listed,
    policy,
};
use crate::{
    Losses, RelPath, Side as Which,
    apply::Applier,
    entry::{Entry, Tree},
    error::Error,
    index::Unknown,
    moves::{Move, Moves, is_within, touch},
    reconcile::{Plan, Times},
    request::Request,
    server::ServerSide,
    side::{Side, Spelled},
    state::Agreement,
    wire::{MOVES, Pipe},
};

/// What becomes of the moves of either side.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Of the other side, to be done on this one.
    pub to_do: Vec<(Which, Move)>,
    /// Both sides have them.
    pub done: Vec<Move>,
    /// That the studio told, and are dealt with path by path.
    pub spelled: Vec<RelPath>,
}

impl Sorted {
    /// Where folders are no more.
    pub(super) fn left(&self) -> BTreeSet<&RelPath> {
        self.to_do.iter().map(|(_, one)| one).chain(&self.done).map(|one| &one.from).collect()
    }
}

/// Sides as they are beside a move.
struct Deciding<'a> {
    here: &'a Side,
    listed: &'a Listed,
    side: &'a ServerSide,
}

/// Decides about moves before anything else is; what is not done as a move is among the differences then.
pub(super) fn sort(
    here: &mut Side,
    listed: &mut Listed,
    ground: Ground,
    side: &ServerSide,
    request: &Request,
    protocol: u32,
) -> Result<Sorted, Error> {
    let mut sorted = Sorted::default();
    let theirs = std::mem::take(&mut listed.moved);
    check(here, ground, &theirs)?;
    let is_plain = request.is_plain();
    let (mut ours_spelled, mut theirs_spelled) = (Vec::new(), Vec::new());
    let policy = policy(here, side, request);
    let deciding = Deciding { here, listed, side };
    let ours = &here.seen.moved;
    for one in theirs.iter() {
        if !is_plain || !deciding.is_alone(&one)? {
            theirs_spelled.push(one);
        } else if ours.has(&one) {
            sorted.done.push(one);
        } else if policy.changes(Which::Server)
            && !ours.touch(&one.from)
            && !ours.touch(&one.to)
            && deciding.has_place(Which::Server, &one)?
        {
            sorted.to_do.push((Which::Server, one));
        } else {
            theirs_spelled.push(one);
        }
    }
    for one in ours.iter() {
        if sorted.done.contains(&one) {
            continue;
        }
        let is_done_there = is_plain
            && ground.is_shared
            && protocol >= MOVES
            && policy.changes(Which::Studio)
            && !theirs.touch(&one.from)
            && !theirs.touch(&one.to)
            && deciding.is_alone(&one)?
            && deciding.has_place(Which::Studio, &one)?;
        if is_done_there {
            sorted.to_do.push((Which::Studio, one));
        } else {
            ours_spelled.push(one);
        }
    }
    for one in &theirs_spelled {
        tell(here, listed, one)?;
        sorted.spelled.push(one.to.clone());
    }
    here.spell_out(&ours_spelled)?;
    Ok(sorted)
}

/// A studio can only have moved what was agreed, to where nothing was.
fn check(here: &Side, ground: Ground, moves: &Moves) -> Result<(), Error> {
    if !moves.is_empty() && !ground.is_shared {
        return Err(Error::protocol("moves of something that was never agreed"));
    }
    for one in moves.iter() {
        let is_folder = here.memory.agreed(&one.from)?.is_some_and(|entry| entry.is_folder());
        if !is_folder || here.memory.agreed(&one.to)?.is_some() {
            return Err(Error::protocol(format!("a move of {}, which is no folder", one.from)));
        }
    }
    Ok(())
}

/// As if the studio had listed it path by path.
fn tell(here: &Side, listed: &mut Listed, one: &Move) -> Result<(), Error> {
    here.spell(one, |Spelled { from, to, what }| {
        listed.check_size()?;
        if let Some(entry) = what.agreed {
            // The content is the same here: so its time is the best there is.
            let modified_ms = what.seen.map_or(-1, |seen| seen.stamp.modified_ms());
            listed.modified_ms.insert(to.clone(), modified_ms);
            listed.told.entry(from).or_insert(None);
            listed.told.entry(to).or_insert(Some(entry));
        }
        Ok(())
    })
}

impl Deciding<'_> {
    /// Whether nothing else is said of what it touches, by either side.
    fn is_alone(&self, one: &Move) -> Result<bool, Error> {
        for path in [&one.from, &one.to] {
            let unknown = |unknown: &BTreeMap<RelPath, Unknown>| touch(unknown, path);
            if self.here.seen.gone.touch(path) || self.listed.gone.touch(path) {
                return Ok(false);
            }
            if is_within(&self.here.seen.differences, path)
                || is_within(&self.listed.told, path)
                || unknown(&self.here.seen.unknown)
                || unknown(&self.listed.unknown)
                || self.side.exclusions.excludes(path, true)
            {
                return Ok(false);
            }
        }
        Ok(self.here.memory.agreed(&one.to)?.is_none())
    }

    /// Whether all is as it was agreed, on the side where it would be done, above what it touches; or is new on the other.
    fn has_place(&self, side: Which, one: &Move) -> Result<bool, Error> {
        for above in one.from.ancestors() {
            let differs = match side {
                Which::Server => self.here.seen.differences.contains_key(&above),
                Which::Studio => self.listed.told.contains_key(&above),
            };
            if differs {
                return Ok(false);
            }
        }
        for above in one.to.ancestors() {
            let here =
                self.here.seen.differences.get(&above).map(|difference| {
                    difference.now.as_ref().is_some_and(|now| now.entry.is_folder())
                });
            let there = self
                .listed
                .told
                .get(&above)
                .map(|told| told.as_ref().is_some_and(Entry::is_folder));
            let agreed = self.here.memory.agreed(&above)?;
            let (its, other) = match side {
                Which::Server => (here, there),
                Which::Studio => (there, here),
            };
            let is_there = match (its, other, agreed) {
                (None, None, Some(agreed)) => agreed.is_folder(),
                (None, Some(is_folder), None) => is_folder,
                (Some(here), Some(there), None) => here && there,
                _ => false,
            };
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Run<'_> {
    /// What could not be done as a move is done path by path: there may be a file system between, or something that is excluded.
    pub(super) fn spell_out_stuck(
        &mut self,
        plan: &mut Plan,
        applier: &mut Applier<'_, '_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let stuck = std::mem::take(&mut self.stuck);
        if stuck.is_empty() {
            return Ok(());
        }
        let (mut base, mut before, mut now) = (Tree::new(), BTreeMap::new(), BTreeMap::new());
        let mut times = Times::default();
        for (side, one) in &stuck {
            let before: &mut Tree = before.entry(*side).or_default();
            let now: &mut Tree = now.entry(side.other()).or_default();
            let (told, times) = match side {
                Which::Server => {
                    self.spelled.push(one.to.clone());
                    (Some(&mut self.told), &mut times.studio)
                }
                Which::Studio => (None, &mut times.server),
            };
            spell(self.here, one, (&mut base, before, now), times, told)?;
        }
        let mut tree = |side| {
            let mut tree: Tree = before.remove(&side).unwrap_or_default();
            tree.extend(now.remove(&side).unwrap_or_default());
            tree
        };
        let (server, studio) = (tree(Which::Server), tree(Which::Studio));
        let picture = Picture::of_trees(base, server, studio, times);
        self.carry_out_spelled(picture, plan, applier, pipe)
    }

    /// What was to be done as a whole, path by path.
    pub(super) fn carry_out_spelled(
        &mut self,
        picture: Picture,
        plan: &mut Plan,
        applier: &mut Applier<'_, '_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        // A move loses nothing, whatever went before, and what is gone was asked about.
        let request = Request { lost_before: Losses::default(), ..self.request.clone() };
        let mut spelled = decide(self.here, self.side, &request, &picture);
        picture.find_sources(self.here, &mut spelled)?;
        self.expect(&spelled);
        self.base.extend(picture.base);
        self.server.extend(picture.server);
        self.studio.extend(picture.studio);
        self.pull(applier, &spelled.server, pipe)?;
        self.push(&spelled.studio, pipe)?;
        plan.agreed.extend(spelled.agreed);
        Ok(())
    }
}

/// What was agreed and where it is: `before` on the side that did not move it, `now` on the other.
fn spell(
    here: &Side,
    one: &Move,
    (base, before, now): (&mut Tree, &mut Tree, &mut Tree),
    times: &mut BTreeMap<RelPath, i64>,
    mut told: Option<&mut Agreement>,
) -> Result<(), Error> {
    here.spell(one, |Spelled { from, to, what }| {
        let Some(entry) = what.agreed else { return Ok(()) };
        if let Some(told) = &mut told {
            told.insert(from.clone(), None);
            told.insert(to.clone(), Some(entry.clone()));
        }
        times.extend(what.seen.map(|seen| (to.clone(), seen.stamp.modified_ms())));
        base.insert(from.clone(), entry.clone());
        before.insert(from, entry.clone());
        now.insert(to, entry);
        Ok(())
    })
}
