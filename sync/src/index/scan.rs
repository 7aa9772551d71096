//! Looking at everything below a root, with several threads, beside what is remembered of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Known,
    moved::{Candidate, Gone, New, Origins},
    queue::{Folder, Queue, Task},
    visit::Visitor,
};
use crate::{
    RelPath,
    context::CancelFlag,
    entry::Entry,
    error::Error,
    exclusions::Exclusions,
    fs::{Found, Root, Stamp, What},
    gone::GoneTrees,
    moves::{Move, Moves, touch},
    state::{Memory, State, Updates},
    threads,
    watch::{Item, Look, What as Where, Work},
};

/// An entry that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub entry: Entry,
    pub found: Found,
}

impl Scanned {
    pub(crate) const fn stamp(&self) -> &Stamp {
        &self.found.stamp
    }
}

impl From<Known> for Scanned {
    fn from(known: Known) -> Self {
        let what = match known.entry {
            Entry::Folder => What::Folder,
            Entry::File { .. } => What::File,
            Entry::Link { .. } => What::Link,
        };
        Self { entry: known.entry, found: Found { what, stamp: known.stamp, is_linked: false } }
    }
}

/// What is there now, and what was agreed on: two different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `None`: nothing.
    pub now: Option<Scanned>,
    pub agreed: Option<Entry>,
}

/// Why something is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// For people.
    pub reason: String,
    /// It is of a kind that is never synchronised.
    pub special: bool,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Everything that is not as it was agreed.
    pub differences: BTreeMap<RelPath, Difference>,
    /// Neither these nor what is below them can be told; with the reason for people.
    pub unknown: BTreeMap<RelPath, Unknown>,
    /// What has to be remembered.
    pub learned: Updates,
    /// Files that have other names too.
    pub linked: BTreeSet<RelPath>,
    /// Folders that are elsewhere now and as they were agreed. Nothing else tells of what is and was there.
    pub moved: Moves,
    /// Folders that are gone with all that was agreed below them. Nothing else tells of what was there.
    pub gone: GoneTrees,
    /// That are there; of a look at some folders only: in these.
    pub entries: u64,
}

/// What a scan works with.
#[derive(Clone, Copy)]
pub(crate) struct Scanning<'a> {
    pub root: &'a Root,
    pub memory: &'a Memory,
    /// Takes the blocks of what was read.
    pub state: &'a State,
    pub exclusions: &'a Exclusions,
    /// Whether what was agreed counts: else everything that is there is a difference.
    pub is_agreed: bool,
    /// The file system's clock when the scan began.
    pub now_ns: i64,
    pub cancel: &'a CancelFlag,
    /// Where to look; else: everywhere.
    pub look: Option<&'a Look>,
}

/// Looks at everything, or where something may have changed; only the root itself must be readable.
///
/// In several passes, as a folder that has another path now is known only when it is known what is gone: first all folders of
/// which something is remembered; then those that are new; then, whether those that moved are as they were; then all the rest.
pub(crate) fn scan(scanning: Scanning<'_>) -> Result<Scan, Error> {
    let (first, below) = match scanning.look.map(|look| &look.what) {
        None | Some(Where::Everything) => {
            (vec![Task::Folder(Folder { path: None, before: None })], HashMap::new())
        }
        Some(Where::Only(dirty)) => {
            let Work { first, below } = dirty.work();
            (first.into_iter().map(Task::from).collect(), below)
        }
    };
    let mut seen = Part::default();
    seen.pass(scanning, Pass::First, first, &below)?;
    let gone = std::mem::take(&mut seen.gone);
    let origins = Origins::new(scanning.memory, &gone, &seen.new)?;
    if scanning.is_agreed && !origins.is_empty() {
        let moved = |new: &New| origins.of(&new.found).is_some();
        let (waiting, new): (Vec<_>, Vec<_>) =
            std::mem::take(&mut seen.new).into_iter().partition(moved);
        let tasks = new.into_iter().map(Task::New).collect();
        seen.pass(scanning, Pass::New(&origins), tasks, &below)?;
        seen.new.extend(waiting);
        let candidates = Candidate::find(&origins, &mut seen.new);
        let tasks = (0..).zip(&candidates).map(|(number, candidate)| {
            let Move { from, to } = candidate.one.clone();
            Task::Same { number, folder: to, before: from }
        });
        seen.pass(scanning, Pass::Same(&candidates), tasks.collect(), &below)?;
        let (moves, entries) = Candidate::judge(candidates, &mut seen.new);
        seen.scan.moved = moves;
        seen.scan.entries += entries;
    }
    let moved = std::mem::take(&mut seen.scan.moved);
    let gone = gone.into_iter().filter(|gone| !moved.is_from(&gone.path));
    let is_whole = |gone: &Gone| scanning.is_agreed && gone.is_whole() && !moved.touch(&gone.path);
    let (whole, parts): (Vec<Gone>, Vec<Gone>) = gone.partition(is_whole);
    let parts = parts.into_iter().map(Task::Lost);
    let tasks = std::mem::take(&mut seen.new).into_iter().map(Task::New).chain(parts).collect();
    let last = Pass::Last(&origins, &moved);
    seen.pass(scanning, last, tasks, &below)?;
    let parts = seen.whole(whole);
    seen.pass(scanning, last, parts, &below)?;
    let Part { mut scan, vanished, .. } = seen;
    scan.moved = moved;
    for path in vanished {
        let agreed = if scanning.is_agreed { scanning.memory.agreed(&path)? } else { None };
        scan.entries = scan.entries.saturating_sub(1);
        match agreed {
            Some(agreed) => {
                scan.differences.insert(path, Difference { now: None, agreed: Some(agreed) });
            }
            None => drop(scan.differences.remove(&path)),
        }
    }
    Ok(scan)
}

impl From<Item> for Task {
    fn from(item: Item) -> Self {
        match item {
            Item::Names(folder) => Self::Names(folder),
            Item::Tree(folder) => Self::Tree(folder),
        }
    }
}

/// What a pass over folders does with those that are new or gone.
#[derive(Clone, Copy)]
pub(super) enum Pass<'a> {
    /// They wait.
    First,
    /// Those wait that may have been elsewhere.
    New(&'a Origins),
    /// Only compares.
    Same(&'a [Candidate]),
    /// None waits.
    Last(&'a Origins, &'a Moves),
}

/// What one thread saw, or several.
#[derive(Default)]
pub(super) struct Part {
    pub scan: Scan,
    /// Folders that were gone when they were opened.
    pub vanished: Vec<RelPath>,
    pub new: Vec<New>,
    pub gone: Vec<Gone>,
}

impl Part {
    fn pass(
        &mut self,
        scanning: Scanning<'_>,
        pass: Pass<'_>,
        tasks: Vec<Task>,
        below: &HashMap<RelPath, Vec<Item>>,
    ) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let queue = Queue::new(tasks);
        for part in threads::together(|| work(scanning, pass, &queue, below)) {
            self.add(part?);
        }
        Ok(())
    }

    /// Keeps the folders of which nothing else is said; the others are told path by path.
    fn whole(&mut self, mut gone: Vec<Gone>) -> Vec<Task> {
        let Scan { differences, unknown, gone: trees, .. } = &mut self.scan;
        gone.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let is_told = |path: &RelPath| touch(differences, path) || touch(unknown, path);
        // What went before the folder it is in is told with that.
        let is_torn = |Gone { path, .. }: &Gone| {
            !trees.cover(path) && (is_told(path) || !trees.add(path.clone()))
        };
        gone.into_iter().filter(is_torn).map(Task::Lost).collect()
    }

    fn add(&mut self, other: Self) {
        let (seen, part) = (&mut self.scan, other.scan);
        if seen.differences.is_empty() {
            seen.differences = part.differences;
        } else {
            seen.differences.extend(part.differences);
        }
        seen.unknown.extend(part.unknown);
        seen.learned.extend(part.learned);
        seen.linked.extend(part.linked);
        seen.entries += part.entries;
        self.vanished.extend(other.vanished);
        self.new.extend(other.new);
        self.gone.extend(other.gone);
    }
}

fn work(
    scanning: Scanning<'_>,
    pass: Pass<'_>,
    queue: &Queue,
    below: &HashMap<RelPath, Vec<Item>>,
) -> Result<Part, Error> {
    let mut visitor = Visitor::new(scanning, pass, queue, below);
    while let Some((task, _busy)) = queue.next() {
        if let Err(error) = visitor.visit(task) {
            queue.end();
            return Err(error);
        }
    }
    Ok(visitor.part)
}
