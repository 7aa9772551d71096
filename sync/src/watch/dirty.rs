//! Folders that have to be looked at.

use std::collections::{BTreeSet, HashMap};

use super::Folder;
use crate::RelPath;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dirty {
    /// The names in these.
    folders: BTreeSet<Folder>,
    /// These and everything below: nothing is known of their inside.
    trees: BTreeSet<RelPath>,
    /// Files that have other names too: a change by such a name is not told here.
    linked: BTreeSet<RelPath>,
}

impl Dirty {
    pub(super) fn folder(&mut self, folder: Folder) {
        self.folders.insert(folder);
    }

    pub(super) fn tree(&mut self, folder: RelPath) {
        self.trees.insert(folder);
    }

    /// Answers whether it is the first time.
    pub(super) fn linked(&mut self, file: RelPath) -> bool {
        self.linked.insert(file)
    }

    /// Everything that is dirty; what is linked stays.
    pub(super) fn take(&mut self) -> Self {
        Self {
            folders: std::mem::take(&mut self.folders),
            trees: std::mem::take(&mut self.trees),
            linked: self.linked.clone(),
        }
    }

    pub(super) fn put_back(&mut self, taken: Self) {
        self.folders.extend(taken.folders);
        self.trees.extend(taken.trees);
    }

    /// What has to be looked at, each once.
    pub(crate) fn work(&self) -> Work {
        let linked: BTreeSet<Folder> = self.linked.iter().map(RelPath::parent).collect();
        let in_tree = |path: &RelPath| path.ancestors().any(|above| self.trees.contains(&above));
        let folders: BTreeSet<&Folder> = self
            .folders
            .union(&linked)
            .filter(|folder| {
                folder.as_ref().is_none_or(|path| !self.trees.contains(path) && !in_tree(path))
            })
            .collect();
        let mut work = Work::default();
        let names = folders.iter().map(|folder| Item::Names((*folder).clone()));
        let trees = self.trees.iter().filter(|tree| !in_tree(tree)).cloned().map(Item::Tree);
        for item in names.chain(trees) {
            let above = item.path().and_then(|path| {
                let way: Vec<RelPath> = path.ancestors().chain([path.clone()]).collect();
                let nearest =
                    way.iter().rposition(|at| at != path && folders.contains(&Some(at.clone())));
                let next = match nearest {
                    Some(at) => at + 1,
                    None if folders.contains(&None) => 0,
                    None => return None,
                };
                way.into_iter().nth(next)
            });
            match above {
                Some(step) => work.below.entry(step).or_default().push(item),
                None => work.first.push(item),
            }
        }
        work
    }
}

/// A piece of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The names in a folder.
    Names(Folder),
    /// All that is below a folder.
    Tree(RelPath),
}

impl Item {
    const fn path(&self) -> Option<&RelPath> {
        match self {
            Self::Names(folder) => folder.as_ref(),
            Self::Tree(folder) => Some(folder),
        }
    }
}

/// Where to look, and in which order: what is below a folder that is looked at only once that has shown that its way is still
/// there, or the look would find things in folders that it also finds gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub first: Vec<Item>,
    /// By the name, in a folder that is looked at, over which they are reached.
    pub below: HashMap<RelPath, Vec<Item>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    #[test]
    fn what_lies_in_a_new_folder_is_looked_at_once_and_what_is_linked_always() {
        let mut dirty = Dirty::default();
        for folder in [None, Some("a"), Some("a/b"), Some("a-b")] {
            dirty.folder(folder.map(path));
        }
        dirty.tree(path("a"));
        dirty.tree(path("a/b/c"));
        assert!(dirty.linked(path("l/file")) && !dirty.linked(path("l/file")));
        let taken = dirty.take();
        let Work { first, mut below } = taken.work();
        assert_eq!(first, [Item::Names(None)]);
        assert_eq!(below.remove(&path("a")).unwrap(), [Item::Tree(path("a"))]);
        assert_eq!(below.remove(&path("l")).unwrap(), [Item::Names(Some(path("l")))]);
        assert_eq!(below.remove(&path("a-b")).unwrap(), [Item::Names(Some(path("a-b")))]);
        assert!(below.is_empty());
        assert_eq!(dirty.work().first, [Item::Names(Some(path("l")))]);
        dirty.put_back(taken.clone());
        assert_eq!(dirty, taken);
    }

    #[test]
    fn what_is_deep_is_reached_over_what_is_looked_at_above_it() {
        let mut dirty = Dirty::default();
        for folder in ["a", "a/b/c", "a/b/c/d/e", "z/y"] {
            dirty.folder(Some(path(folder)));
        }
        dirty.tree(path("z/y/x"));
        let Work { first, below } = dirty.work();
        let names = |name: &str| Item::Names(Some(path(name)));
        assert_eq!(first, [names("a"), names("z/y")]);
        assert_eq!(below[&path("a/b")], [names("a/b/c")]);
        assert_eq!(below[&path("a/b/c/d")], [names("a/b/c/d/e")]);
        assert_eq!(below[&path("z/y/x")], [Item::Tree(path("z/y/x"))]);
        assert_eq!(below.len(), 3);
    }
}
