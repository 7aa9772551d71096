//! Folders that are elsewhere now, with all that was agreed below them.
//!
//! A move is a shorter way to say "gone: `from` and all below; there: `to` with the same below", and nothing else: who hears of one
//! can always spell it out, by what it remembers (decision 6).

use std::collections::BTreeMap;

use crate::RelPath;

/// Moves that are told or found at once; what is beyond is spelled out.
pub(crate) const MOST_MOVES: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub from: RelPath,
    /// Nothing was agreed here.
    pub to: RelPath,
}

/// No path of one is above or below a path of another, nor the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moves {
    to_by_from: BTreeMap<RelPath, RelPath>,
    from_by_to: BTreeMap<RelPath, RelPath>,
}

/// Where what is at a path now was before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Here,
    At(RelPath),
    /// What was here is elsewhere.
    Nowhere,
}

impl Moves {
    /// Answers whether it could be: not where it overlaps with another one, or with itself.
    pub(crate) fn add(&mut self, one: Move) -> bool {
        let Move { from, to } = one;
        let overlaps = from.is_within(&to)
            || to.is_within(&from)
            || [&from, &to].into_iter().any(|path| self.touch(path));
        if overlaps || self.len() >= MOST_MOVES {
            return false;
        }
        self.to_by_from.insert(from.clone(), to.clone());
        self.from_by_to.insert(to, from);
        true
    }

    pub(crate) fn remove(&mut self, to: &RelPath) -> Option<Move> {
        let from = self.from_by_to.remove(to)?;
        self.to_by_from.remove(&from);
        Some(Move { from, to: to.clone() })
    }

    pub(crate) fn len(&self) -> usize {
        self.from_by_to.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from_by_to.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Move> + '_ {
        self.from_by_to.iter().map(|(to, from)| Move { from: from.clone(), to: to.clone() })
    }

    pub(crate) fn is_from(&self, path: &RelPath) -> bool {
        self.to_by_from.contains_key(path)
    }

    pub(crate) fn has(&self, one: &Move) -> bool {
        self.from_by_to.get(&one.to) == Some(&one.from)
    }

    /// Whether a path is one of those of a move, or above or below one.
    pub(crate) fn touch(&self, path: &RelPath) -> bool {
        !self.is_empty() && (touch(&self.to_by_from, path) || touch(&self.from_by_to, path))
    }

    pub(crate) fn before(&self, path: &RelPath) -> Before {
        if self.is_empty() {
            return Before::Here;
        }
        for at in path.ancestors().chain([path.clone()]) {
            if let Some(from) = self.from_by_to.get(&at) {
                // What was there had a path: this one is a path then.
                return path.rebased(&at, from).map_or(Before::Nowhere, Before::At);
            }
            if self.to_by_from.contains_key(&at) {
                return Before::Nowhere;
            }
        }
        Before::Here
    }
}

/// Whether a path, one above it or one below it is a key.
pub(crate) fn touch<T>(paths: &BTreeMap<RelPath, T>, path: &RelPath) -> bool {
    is_within(paths, path) || path.ancestors().any(|above| paths.contains_key(&above))
}

/// Whether a folder or a path below it is a key.
pub(crate) fn is_within<T>(paths: &BTreeMap<RelPath, T>, folder: &RelPath) -> bool {
    paths.contains_key(folder) || paths.range(folder.inside()).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    fn of(from: &str, to: &str) -> Move {
        Move { from: path(from), to: path(to) }
    }

    #[test]
    fn moves_that_overlap_are_none() {
        let mut moves = Moves::default();
        assert!(moves.add(of("a", "b/c")));
        for (from, to) in [
            ("a", "x"),
            ("a/x", "x"),
            ("x", "b"),
            ("x", "b/c"),
            ("x", "b/c/d"),
            ("x", "a/d"),
            ("b", "x"),
            ("x", "x"),
            ("x", "x/y"),
            ("x/y", "x"),
        ] {
            assert!(!moves.add(of(from, to)), "{from} to {to}");
        }
        // Between a folder and what is in it come others.
        assert!(moves.add(of("a-b", "b/c-d")));
        assert_eq!(moves.before(&path("b/c/x")), Before::At(path("a/x")));
        assert_eq!(moves.before(&path("b/c")), Before::At(path("a")));
        assert_eq!(moves.before(&path("a/x")), Before::Nowhere);
        assert_eq!(moves.before(&path("b")), Before::Here);
        assert!(moves.touch(&path("b")) && moves.touch(&path("a/x")) && !moves.touch(&path("c")));
        assert_eq!(moves.remove(&path("b/c")), Some(of("a", "b/c")));
        assert!(moves.add(of("a", "b/c")) && moves.is_from(&path("a")) && moves.len() == 2);
    }
}
