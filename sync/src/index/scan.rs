//! Looking at everything below a root, with several threads, beside what is remembered of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Known,
    queue::{Queue, Task},
    visit::Visitor,
};
use crate::{
    RelPath,
    context::CancelFlag,
    entry::Entry,
    error::Error,
    exclusions::Exclusions,
    fs::{Found, Root, Stamp, What},
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
pub(crate) fn scan(scanning: Scanning<'_>) -> Result<Scan, Error> {
    let (first, below) = match scanning.look.map(|look| &look.what) {
        None | Some(Where::Everything) => (vec![Task::Folder(None)], HashMap::new()),
        Some(Where::Only(dirty)) => {
            let Work { first, below } = dirty.work();
            (first.into_iter().map(Task::from).collect(), below)
        }
    };
    let (queue, below) = (Queue::new(first), &below);
    let parts = threads::together(|| work(scanning, &queue, below));
    let mut seen = Scan::default();
    let mut vanished = Vec::new();
    for part in parts {
        let part = part?;
        if seen.differences.is_empty() {
            seen.differences = part.scan.differences;
        } else {
            seen.differences.extend(part.scan.differences);
        }
        seen.unknown.extend(part.scan.unknown);
        seen.learned.extend(part.scan.learned);
        seen.linked.extend(part.scan.linked);
        seen.entries += part.scan.entries;
        vanished.extend(part.vanished);
    }
    for path in vanished {
        let agreed = if scanning.is_agreed { scanning.memory.agreed(&path)? } else { None };
        seen.entries = seen.entries.saturating_sub(1);
        match agreed {
            Some(agreed) => {
                seen.differences.insert(path, Difference { now: None, agreed: Some(agreed) });
            }
            None => drop(seen.differences.remove(&path)),
        }
    }
    Ok(seen)
}

impl From<Item> for Task {
    fn from(item: Item) -> Self {
        match item {
            Item::Names(folder) => Self::Names(folder),
            Item::Tree(folder) => Self::Tree(folder),
        }
    }
}

/// What one thread saw.
#[derive(Default)]
pub(super) struct Part {
    pub scan: Scan,
    /// Folders that were gone when they were opened.
    pub vanished: Vec<RelPath>,
}

fn work(
    scanning: Scanning<'_>,
    queue: &Queue,
    below: &HashMap<RelPath, Vec<Item>>,
) -> Result<Part, Error> {
    let mut visitor = Visitor::new(scanning, queue, below);
    while let Some((task, _busy)) = queue.next() {
        if let Err(error) = visitor.visit(task) {
            queue.end();
            return Err(error);
        }
    }
    Ok(visitor.part)
}
