//! Which folder a watch is of. The kernel names inodes, which move; so the paths here are true only as far as events were read.

use std::{collections::BTreeMap, collections::HashMap, ops::Bound};

use super::Folder;
use crate::RelPath;

#[derive(Debug, Default)]
pub(super) struct Folders {
    by_watch: HashMap<i32, Folder>,
    by_path: BTreeMap<Folder, i32>,
}

impl Folders {
    pub(super) fn len(&self) -> usize {
        self.by_watch.len()
    }

    pub(super) fn of(&self, watch: i32) -> Option<&Folder> {
        self.by_watch.get(&watch)
    }

    /// The inode may have had another path, and the path another inode, whose watch is answered: it is of nothing known now.
    pub(super) fn put(&mut self, folder: &Folder, watch: i32) -> Option<i32> {
        let void = self.by_path.insert(folder.clone(), watch).filter(|before| *before != watch);
        if let Some(void) = void {
            self.by_watch.remove(&void);
        }
        if let Some(moved) = self.by_watch.insert(watch, folder.clone())
            && moved != *folder
        {
            self.by_path.remove(&moved);
        }
        void
    }

    pub(super) fn forget(&mut self, watch: i32) {
        if let Some(folder) = self.by_watch.remove(&watch) {
            self.by_path.remove(&folder);
        }
    }

    /// A folder and everything below it is no more where it was; answers their watches.
    pub(super) fn take_tree(&mut self, folder: &RelPath) -> Vec<i32> {
        let own = Some(folder.clone());
        let mut below = folder.as_bytes().to_vec();
        below.push(b'/');
        let mut gone: Vec<(Folder, i32)> = self.by_path.remove_entry(&own).into_iter().collect();
        // Between a folder and what is in it come others, such as `a-b` between `a` and `a/b`.
        let inside = self
            .by_path
            .range((Bound::Excluded(own), Bound::Unbounded))
            .take_while(|(path, _)| begins(path.as_ref(), folder.as_bytes()))
            .filter(|(path, _)| begins(path.as_ref(), &below))
            .map(|(path, watch)| (path.clone(), *watch));
        gone.extend(inside.collect::<Vec<_>>());
        for (path, watch) in &gone {
            self.by_path.remove(path);
            self.by_watch.remove(watch);
        }
        gone.into_iter().map(|(_, watch)| watch).collect()
    }
}

fn begins(path: Option<&RelPath>, with: &[u8]) -> bool {
    path.is_some_and(|path| path.as_bytes().starts_with(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    #[test]
    fn a_tree_goes_with_all_that_is_in_it_and_nothing_else() {
        let mut folders = Folders::default();
        folders.put(&None, 1);
        for (watch, name) in [(2, "a"), (3, "a-b"), (4, "a/b"), (5, "a/b/c"), (6, "ab"), (7, "b")] {
            assert_eq!(folders.put(&Some(path(name)), watch), None);
        }
        let mut gone = folders.take_tree(&path("a"));
        gone.sort_unstable();
        assert_eq!(gone, [2, 4, 5]);
        assert_eq!(folders.len(), 4);
        assert!(folders.of(4).is_none() && folders.of(3).is_some());
        assert!(folders.take_tree(&path("a")).is_empty());
    }

    #[test]
    fn a_moved_folder_leaves_its_old_path_and_voids_what_was_there() {
        let mut folders = Folders::default();
        folders.put(&Some(path("old")), 1);
        folders.put(&Some(path("new")), 2);
        assert_eq!(folders.put(&Some(path("new")), 1), Some(2));
        assert_eq!(folders.of(1), Some(&Some(path("new"))));
        assert_eq!(folders.len(), 1);
        assert!(folders.take_tree(&path("old")).is_empty());
        folders.forget(1);
        assert_eq!(folders.len(), 0);
    }
}
