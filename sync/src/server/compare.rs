//! Both sides beside what was agreed: only the paths that some decision may depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::{listing::Listed, moves, trees};
use crate::{
    RelPath, Side as Which,
    apply::copy_prefix,
    entry::{Entry, Tree},
    error::Error,
    plan::Operation,
    reconcile::{Counts, Plan, Sources, Times, wanted},
    request::Request,
    side::Side,
    state::{Agreed, Agreement},
    transfer::SMALL_BYTES,
    trash,
};

/// Contents of less in all are not looked for under every path of a side.
pub(super) const SEARCHED_BYTES: u64 = 256 << 10;
/// Such a part of a small file that was edited travels, as the way to it from the old one.
const EDITED: u64 = 16;

/// What both sides have.
pub(super) struct Picture {
    pub base: Tree,
    pub server: Tree,
    pub studio: Tree,
    pub times: Times,
    pub counts: Counts,
    pub unknown: BTreeSet<RelPath>,
    /// Of the studio.
    pub studio_entries: u64,
    pub moves: moves::Sorted,
    pub trees: trees::Sorted,
}

/// What is agreed with this studio.
#[derive(Clone, Copy)]
pub(super) struct Ground {
    /// `None`: nothing.
    pub agreed: Option<Agreed>,
    /// Whether the studio remembers the same, and told only what differs.
    pub is_shared: bool,
}

impl Picture {
    pub(super) fn new(
        here: &Side,
        ground: Ground,
        listed: &mut Listed,
        request: &Request,
        label: &str,
        (moves, trees): (moves::Sorted, trees::Sorted),
    ) -> Result<Self, Error> {
        let paths = paths(here, ground, listed, request, label)?;
        let (mut base, mut server, mut studio) = (Tree::new(), Tree::new(), Tree::new());
        for path in paths {
            let here_differs = here.seen.differences.get(&path);
            let agreed = match (here_differs, ground.agreed) {
                (_, None) => None,
                (Some(difference), Some(_)) => difference.agreed.clone(),
                (None, Some(_)) => here.memory.agreed(&path)?,
            };
            let on_server = match here_differs {
                Some(difference) => difference.now.as_ref().map(|now| now.entry.clone()),
                None => agreed.clone(),
            };
            let in_studio = match listed.told.get(&path) {
                Some(told) => told.clone(),
                None if ground.is_shared => agreed.clone(),
                None => None,
            };
            server.extend(on_server.map(|entry| (path.clone(), entry)));
            studio.extend(in_studio.map(|entry| (path.clone(), entry)));
            base.extend(agreed.map(|entry| (path, entry)));
        }
        let tally = ground.agreed.map(|agreed| agreed.tally).unwrap_or_default();
        let files = |tree: &Tree| tree.values().filter(|entry| !entry.is_folder()).count() as u64;
        // The trees differ from the whole ones by what is the same everywhere.
        let common = tally.files.saturating_sub(files(&base));
        let counts = Counts {
            base: tally.files,
            server: (common + files(&server)).saturating_sub(trees.files_gone(Which::Server)),
            studio: (common + files(&studio)).saturating_sub(trees.files_gone(Which::Studio)),
        };
        let entries_gone: usize = trees.gone(Which::Studio).map(|tree| tree.entries.len()).sum();
        let studio_entries = (tally.entries + studio.len() as u64)
            .saturating_sub((base.len() + entries_gone) as u64);
        let server_times = here
            .seen
            .differences
            .iter()
            .filter_map(|(path, difference)| {
                Some((path.clone(), difference.now.as_ref()?.stamp().modified_ms()))
            })
            .collect();
        let unknown = here.seen.unknown.keys().chain(listed.unknown.keys()).cloned().collect();
        let times = Times { server: server_times, studio: std::mem::take(&mut listed.modified_ms) };
        Ok(Self { base, server, studio, times, counts, unknown, studio_entries, moves, trees })
    }

    /// Of nothing but what moved or went as a whole on either side, and is agreed otherwise.
    pub(super) fn of_trees(base: Tree, server: Tree, studio: Tree, times: Times) -> Self {
        // What has moved is no loss; what is gone was counted before.
        let counts = Counts { base: u64::MAX, server: u64::MAX, studio: u64::MAX };
        let (moves, trees) = (moves::Sorted::default(), trees::Sorted::default());
        let (unknown, studio_entries) = (BTreeSet::new(), 0);
        Self { base, server, studio, times, counts, unknown, studio_entries, moves, trees }
    }

    /// What the studio tells as if it were not agreed, and is: it remembers something else, though its digest is the same. Agreed on
    /// once more, it changes that digest; so the next run compares everything.
    pub(super) fn disowned(&self, ground: Ground, listed: &Listed) -> Agreement {
        let is_agreed =
            |(path, told): &(&RelPath, &Option<Entry>)| self.base.get(*path) == told.as_ref();
        let told = listed.told.iter().filter(|_| ground.is_shared).filter(is_agreed);
        told.map(|(path, told)| (path.clone(), told.clone())).collect()
    }

    fn tree(&self, side: Which) -> &Tree {
        match side {
            Which::Server => &self.server,
            Which::Studio => &self.studio,
        }
    }

    /// Contents that a side has already need not travel.
    pub(super) fn find_sources(&self, here: &Side, plan: &mut Plan) -> Result<(), Error> {
        self.find_sources_on(here, Which::Server, &mut plan.server)?;
        self.find_sources_on(here, Which::Studio, &mut plan.studio)
    }

    fn find_sources_on(
        &self,
        here: &Side,
        side: Which,
        operations: &mut [Operation],
    ) -> Result<(), Error> {
        let wanted = wanted(operations);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut sources = Sources::new(&wanted, operations);
        for (path, entry) in self.tree(side) {
            sources.add(path, entry);
        }
        let travel = |operation: &Operation| match self.tree(side).get(&operation.path) {
            Some(old) if old.is_file() && old.size() < SMALL_BYTES => operation.bytes() / EDITED,
            Some(_) | None => operation.bytes(),
        };
        if operations.iter().map(travel).sum::<u64>() >= SEARCHED_BYTES {
            let is_wanted =
                |entry: &Entry| entry.digest().is_some_and(|digest| wanted.contains(&digest));
            // What is not in the trees is on both sides as it was agreed.
            let mut left = self.moves.left();
            left.extend(self.trees.gone(side).map(|tree| &tree.path));
            let stays = |path: &RelPath| {
                left.is_empty() || !path.ancestors().any(|above| left.contains(&above))
            };
            here.memory.each(
                |what| what.agreed.as_ref().is_some_and(is_wanted),
                |path, what| {
                    let is_common = !self.base.contains_key(&path) && stays(&path);
                    if let (true, Some(entry)) = (is_common, &what.agreed) {
                        sources.add(&path, entry);
                    }
                },
            )?;
            // Of the studio's nothing is known here.
            if side == Which::Server {
                let trash = trash::search(here.place.trash(), &wanted);
                sources.add_trash(trash.map_err(Error::io("search the trash"))?);
            }
        }
        sources.point(operations);
        Ok(())
    }
}

/// Whatever is in a folder is in a folder.
pub(super) fn check(
    here: &Side,
    ground: Ground,
    listed: &Listed,
    studio: &Tree,
) -> Result<(), Error> {
    let mut checked: Option<RelPath> = None;
    for (path, what) in &listed.told {
        let Some(folder) = path.parent().filter(|_| what.is_some()) else { continue };
        if checked.as_ref() == Some(&folder) {
            continue;
        }
        let is_folder = match studio.get(&folder) {
            Some(entry) => entry.is_folder(),
            None if listed.told.contains_key(&folder) || !ground.is_shared => false,
            None => here.memory.agreed(&folder)?.is_some_and(|entry| entry.is_folder()),
        };
        if !is_folder {
            return Err(Error::protocol(format!("a listing in which {folder} is no folder")));
        }
        checked = Some(folder);
    }
    Ok(())
}

/// Everything that differs anywhere, and what people asked about.
fn paths(
    here: &Side,
    ground: Ground,
    listed: &Listed,
    request: &Request,
    label: &str,
) -> Result<BTreeSet<RelPath>, Error> {
    let differences = here.seen.differences.keys();
    let mut paths: BTreeSet<RelPath> = differences.chain(listed.told.keys()).cloned().collect();
    paths.extend(request.fetch.iter().cloned());
    paths.extend(request.resolutions.iter().map(|resolution| resolution.path.clone()));
    if ground.agreed.is_none() {
        return Ok(paths);
    }
    if !ground.is_shared {
        here.memory.each(|what| what.agreed.is_some(), |path, _| paths.extend([path]))?;
        return Ok(paths);
    }
    // A conflict is named after what is beside it.
    let mut clashing: BTreeMap<Option<RelPath>, Vec<Vec<u8>>> = BTreeMap::new();
    let both = here.seen.differences.keys().filter(|path| listed.told.contains_key(*path));
    for path in both {
        let (folder, name) = path.split();
        let begin = copy_prefix(name, label);
        clashing.entry(folder).or_default().push(begin);
    }
    for (folder, mut begins) in clashing {
        begins.sort_unstable();
        let mut cursor = here.memory.folder(folder.as_ref())?;
        while let Some((name, _)) = cursor.next()? {
            let before = begins.partition_point(|begin| *begin <= name);
            let nearest = before.checked_sub(1).and_then(|at| begins.get(at));
            if nearest.is_some_and(|begin| name.starts_with(begin)) {
                paths.extend(RelPath::in_folder(folder.as_ref(), &name));
            }
        }
    }
    Ok(paths)
}
