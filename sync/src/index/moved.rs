//! Folders that were elsewhere before: a folder keeps its inode when it gets another path, and so does all that is in it.
//!
//! What is found by inode is only a guess, which costs nothing where it is wrong: everything within is compared by its stamp.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    RelPath,
    entry::Entry,
    error::Error,
    fs::{Found, Stamp},
    moves::{Move, Moves},
    state::{Memory, Remembered},
};

/// A folder of which nothing is remembered, or another than what is: it waits until it is known what is gone.
#[derive(Debug)]
pub(super) struct New {
    pub path: RelPath,
    pub found: Found,
    pub what: Remembered,
}

/// A folder that is not where it was remembered.
#[derive(Debug)]
pub(super) struct Gone {
    pub path: RelPath,
    pub what: Remembered,
    pub why: Why,
}

impl Gone {
    /// Whether all that was agreed of it is gone with it.
    pub(super) fn is_whole(&self) -> bool {
        self.why == Why::Nothing && self.what.agreed.as_ref().is_some_and(Entry::is_folder)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There is nothing.
    Nothing,
    /// Something else has its path now.
    Replaced,
    /// Nothing is known of where it is: it is excluded, or went away at this moment.
    OutOfSight,
}

/// Where a folder was.
#[derive(Debug)]
pub(super) struct Origin {
    pub path: RelPath,
    /// It was agreed, and nothing is there any more: what was never agreed is new, wherever it is.
    pub may_have_moved: bool,
}

/// By what tells folders from each other.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<(u64, u64), Origin>);

const fn key(stamp: &Stamp) -> (u64, u64) {
    (stamp.device, stamp.inode)
}

impl Origins {
    /// Of what is gone with all folders that were in it, and of what is another folder now.
    pub(super) fn new(memory: &Memory, gone: &[Gone], new: &[New]) -> Result<Self, Error> {
        let mut origins = Self::default();
        if new.is_empty() {
            return Ok(origins);
        }
        for New { path, what, .. } in new {
            origins.put(path, what, false);
        }
        let mut waiting = Vec::new();
        for gone in gone.iter().filter(|gone| gone.why != Why::OutOfSight) {
            origins.put(&gone.path, &gone.what, gone.why == Why::Nothing);
            waiting.push(gone.path.clone());
        }
        while let Some(folder) = waiting.pop() {
            let mut cursor = memory.folder(Some(&folder))?;
            while let Some((name, what)) = cursor.next()? {
                if was_folder(&what)
                    && let Ok(path) = RelPath::in_folder(Some(&folder), &name)
                {
                    origins.put(&path, &what, true);
                    waiting.push(path);
                }
            }
        }
        Ok(origins)
    }

    fn put(&mut self, path: &RelPath, what: &Remembered, is_free: bool) {
        if let Some(seen) = what.seen.as_ref().filter(|seen| seen.entry.is_folder()) {
            let may_have_moved = is_free && what.agreed.as_ref().is_some_and(Entry::is_folder);
            self.0.insert(key(&seen.stamp), Origin { path: path.clone(), may_have_moved });
        }
    }

    pub(super) fn of(&self, found: &Found) -> Option<&Origin> {
        self.0.get(&key(&found.stamp))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A folder that may be what another one was.
#[derive(Debug)]
pub(super) struct Candidate {
    pub one: Move,
    pub new: New,
    is_same: AtomicBool,
    entries: AtomicU64,
}

impl Candidate {
    /// Those that may have moved; the others wait on.
    pub(super) fn find(origins: &Origins, new: &mut Vec<New>) -> Vec<Self> {
        let mut taken = HashSet::new();
        let mut candidates = Vec::new();
        let mut others = Vec::new();
        for new in std::mem::take(new) {
            let from = origins.of(&new.found).filter(|origin| origin.may_have_moved);
            match from.filter(|_| new.what == Remembered::default()) {
                Some(from) if taken.insert(from.path.clone()) => {
                    let one = Move { from: from.path.clone(), to: new.path.clone() };
                    let (is_same, entries) = (AtomicBool::new(true), AtomicU64::new(0));
                    candidates.push(Self { one, new, is_same, entries });
                }
                Some(_) | None => others.push(new),
            }
        }
        *new = others;
        candidates
    }

    pub(super) fn is_same(&self) -> bool {
        self.is_same.load(Ordering::Relaxed)
    }

    pub(super) fn differs(&self) {
        self.is_same.store(false, Ordering::Relaxed);
    }

    pub(super) fn count(&self, entries: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }

    /// Those that moved, and how many entries are there; the others wait on.
    pub(super) fn judge(candidates: Vec<Self>, new: &mut Vec<New>) -> (Moves, u64) {
        let (mut moves, mut entries) = (Moves::default(), 0);
        for candidate in candidates {
            if candidate.is_same() && moves.add(candidate.one) {
                // With the folder itself.
                entries += candidate.entries.into_inner() + 1;
            } else {
                new.push(candidate.new);
            }
        }
        (moves, entries)
    }
}

pub(super) fn was_folder(what: &Remembered) -> bool {
    let seen = what.seen.as_ref().map(|seen| &seen.entry);
    [seen, what.agreed.as_ref()].into_iter().flatten().any(Entry::is_folder)
}
