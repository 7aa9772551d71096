//! Folders that are gone with all that was agreed below them.
//!
//! As a move, it is a shorter way to say something, path by path: "gone: this folder and all below it", and nothing else. Who hears of
//! one can always spell it out, by what it remembers (decision 8).

use std::collections::BTreeSet;

use crate::{
    RelPath,
    entry::{Digest, Entry},
};

/// That are told or found at once; what is beyond is spelled out.
const MOST_TREES: usize = 10_000;

/// None is within another.
#[derive(Debug, Clone, Default)]
pub(crate) struct GoneTrees(BTreeSet<RelPath>);

impl GoneTrees {
    /// Answers whether it could be: not where it is above or below another one.
    pub(crate) fn add(&mut self, folder: RelPath) -> bool {
        let fits = self.0.len() < MOST_TREES && !self.touch(&folder);
        if fits {
            self.0.insert(folder);
        }
        fits
    }

    pub(crate) fn remove(&mut self, folder: &RelPath) -> bool {
        self.0.remove(folder)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RelPath> {
        self.0.iter()
    }

    pub(crate) fn has(&self, folder: &RelPath) -> bool {
        self.0.contains(folder)
    }

    /// Whether a path is one of them, or above or below one.
    pub(crate) fn touch(&self, path: &RelPath) -> bool {
        self.cover(path) || self.0.range(path.inside()).next().is_some()
    }

    /// Whether a path is one of them, or below one.
    pub(crate) fn cover(&self, path: &RelPath) -> bool {
        !self.is_empty() && (self.has(path) || path.ancestors().any(|above| self.has(&above)))
    }
}

/// A folder that goes, with what was agreed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoneTree {
    pub path: RelPath,
    /// In the order of paths; the folder itself comes first.
    pub entries: Vec<(RelPath, Entry)>,
}

impl GoneTree {
    /// Of everything in it but folders; links have none.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Option<Digest>> + '_ {
        let things = self.entries.iter().filter(|(_, entry)| !entry.is_folder());
        things.map(|(_, entry)| entry.digest())
    }

    pub(crate) fn files(&self) -> u64 {
        self.contents().count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_within_another() {
        let path = |text: &str| RelPath::try_from(text).unwrap();
        let mut gone = GoneTrees::default();
        assert!(gone.add(path("a/b")) && gone.add(path("a-b")) && gone.add(path("a/b-c")));
        for other in ["a", "a/b", "a/b/c"] {
            assert!(!gone.add(path(other)) && gone.touch(&path(other)), "{other}");
        }
        assert!(
            gone.cover(&path("a/b/c/d")) && gone.cover(&path("a/b")) && !gone.cover(&path("a"))
        );
        assert!(
            gone.remove(&path("a/b")) && !gone.remove(&path("a/b")) && !gone.touch(&path("a/b/c"))
        );
        assert!(gone.add(path("a/b/c")));
    }
}
