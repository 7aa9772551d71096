//! Folders that are gone as a whole on one side: one operation on the other where nothing there speaks against it, and else path by
//! path.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Run,
    compare::{Ground, Picture},
    listing::Listed,
    policy,
};
use crate::{
    OnMassDeletion, RelPath, Side as Which,
    apply::Applier,
    entry::{Entry, Tree},
    error::Error,
    gone::GoneTree,
    moves::touch,
    reconcile::{Plan, Times},
    request::Request,
    server::ServerSide,
    side::Side,
    wire::{Pipe, TREES},
};

/// What becomes of the folders that are gone on either side.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// That are gone on the other side, to go on this one.
    pub to_do: Vec<(Which, GoneTree)>,
    /// That neither side has.
    pub done: Vec<GoneTree>,
    /// That the studio told, and are dealt with path by path.
    pub spelled: Vec<RelPath>,
}

impl Sorted {
    /// That are to go on a side.
    pub(super) fn on(&self, side: Which) -> impl Iterator<Item = &GoneTree> {
        self.to_do.iter().filter(move |(on, _)| *on == side).map(|(_, tree)| tree)
    }

    /// That a side has no more.
    pub(super) fn gone(&self, side: Which) -> impl Iterator<Item = &GoneTree> {
        self.on(side.other()).chain(&self.done)
    }

    pub(super) fn files_gone(&self, side: Which) -> u64 {
        self.gone(side).map(GoneTree::files).sum()
    }
}

/// Decides about folders that are gone before anything else but moves is; what does not go as a whole is among the differences then.
pub(super) fn sort(
    here: &mut Side,
    listed: &mut Listed,
    ground: Ground,
    side: &ServerSide,
    request: &Request,
    protocol: u32,
) -> Result<Sorted, Error> {
    let mut sorted = Sorted::default();
    let theirs = std::mem::take(&mut listed.gone);
    let ours = here.seen.gone.clone();
    if theirs.is_empty() && ours.is_empty() {
        return Ok(sorted);
    }
    if !theirs.is_empty() && !ground.is_shared {
        return Err(Error::protocol("folders gone that were never agreed"));
    }
    let is_plain = request.is_plain()
        && request.on_mass_deletion != OnMassDeletion::Restore
        && ground.is_shared;
    let policy = policy(here, side, request);
    let (mut ours_spelled, mut theirs_spelled) = (Vec::new(), Vec::new());
    for folder in theirs.iter() {
        let tree = here.agreed_tree(folder)?;
        if !tree.entries.first().is_some_and(|(path, entry)| path == folder && entry.is_folder()) {
            return Err(Error::protocol(format!("{folder} is gone, which is no folder")));
        }
        let is_plain = is_plain && is_alone(here, listed, side, &tree);
        if is_plain && ours.has(folder) {
            sorted.done.push(tree);
        } else if is_plain && policy.changes(Which::Server) && !ours.touch(folder) {
            sorted.to_do.push((Which::Server, tree));
        } else {
            theirs_spelled.push(tree);
        }
    }
    let done: BTreeSet<&RelPath> = sorted.done.iter().map(|tree| &tree.path).collect();
    for folder in ours.iter().filter(|folder| !done.contains(folder)) {
        let tree = here.agreed_tree(folder)?;
        if is_plain
            && protocol >= TREES
            && policy.changes(Which::Studio)
            && !theirs.touch(folder)
            && is_alone(here, listed, side, &tree)
        {
            sorted.to_do.push((Which::Studio, tree));
        } else {
            ours_spelled.push(folder.clone());
        }
    }
    for GoneTree { path, entries } in theirs_spelled {
        for (path, _) in entries {
            listed.told.entry(path).or_insert(None);
        }
        listed.check_size()?;
        sorted.spelled.push(path);
    }
    here.spell_out_gone(&ours_spelled)?;
    Ok(sorted)
}

/// Whether nothing else is said of it, of what is in it and of the folders that it is in, by either side.
fn is_alone(here: &Side, listed: &Listed, side: &ServerSide, tree: &GoneTree) -> bool {
    let path = &tree.path;
    let is_excluded = |(path, entry): &(RelPath, Entry)| {
        side.exclusions.matches_bytes(path.as_bytes(), entry.is_folder())
    };
    let is_told = touch(&here.seen.differences, path)
        || touch(&listed.told, path)
        || touch(&here.seen.unknown, path)
        || touch(&listed.unknown, path);
    // Folders alone leave nothing behind that anybody could miss.
    !is_told
        && tree.files() > 0
        && (side.exclusions.is_empty()
            || !(side.exclusions.excludes(path, true) || tree.entries.iter().any(is_excluded)))
}

impl Run<'_> {
    /// What could not go as a whole goes path by path: there may be something else in it, or somebody writes to it.
    pub(super) fn spell_out_torn(
        &mut self,
        plan: &mut Plan,
        applier: &mut Applier<'_, '_>,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let torn = std::mem::take(&mut self.torn);
        if torn.is_empty() {
            return Ok(());
        }
        let mut base = Tree::new();
        let mut there: BTreeMap<Which, Tree> = BTreeMap::new();
        for (side, tree) in torn {
            if side == Which::Server {
                self.kept.remove(&tree.path);
                self.told.extend(tree.entries.iter().map(|(path, _)| (path.clone(), None)));
                self.spelled.push(tree.path);
            }
            there.entry(side).or_default().extend(tree.entries.iter().cloned());
            base.extend(tree.entries);
        }
        let mut tree = |side| there.remove(&side).unwrap_or_default();
        let (server, studio) = (tree(Which::Server), tree(Which::Studio));
        let picture = Picture::of_trees(base, server, studio, Times::default());
        self.carry_out_spelled(picture, plan, applier, pipe)
    }
}
