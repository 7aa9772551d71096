//! Random users on both sides, crashes and broken links between; afterwards nothing that anybody left is lost.
//!
//! The model is the set of contents that lie somewhere at rest: whatever a user wrote and did not delete or overwrite by
//! themselves must be found again on one of the sides, under its own or under a conflict name.
//! 48 cases by default; `ATELIER_LONG=1` makes it 10,000.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{Mishap, Pair, Thing, tree};
use proptest::prelude::*;
use sync::{Direction, Fault, FaultyFileSystem, OnConflict, OnMassDeletion, Request};

#[derive(Debug, Clone)]
enum Act {
    Write { studio: bool, path: usize, content: u16 },
    Remove { studio: bool, path: usize },
    Folder { studio: bool, path: usize },
    Rename { studio: bool, from: usize, to: usize },
    Executable { studio: bool, path: usize },
    Link { studio: bool, path: usize },
    Sync { direction: u8, both: bool },
    Crash { studio: bool, effects: u64 },
    Cut { studio: bool, messages: u64 },
    Corrupt { studio: bool, message: u64, bit: usize },
    Full { studio: bool, effects: u64 },
    NewPod,
}

const PATHS: [&str; 9] = ["a", "b", "c", "d/a", "d/b", "d/e/a", "d/e", "a/x", "b/y"];

fn act() -> impl Strategy<Value = Act> {
    let side = any::<bool>;
    let path = || 0..PATHS.len();
    prop_oneof![
        8 => (side(), path(), 0u16..40).prop_map(|(studio, path, content)| Act::Write { studio, path, content }),
        3 => (side(), path()).prop_map(|(studio, path)| Act::Remove { studio, path }),
        1 => (side(), path()).prop_map(|(studio, path)| Act::Folder { studio, path }),
        2 => (side(), path(), path()).prop_map(|(studio, from, to)| Act::Rename { studio, from, to }),
        1 => (side(), path()).prop_map(|(studio, path)| Act::Executable { studio, path }),
        1 => (side(), path()).prop_map(|(studio, path)| Act::Link { studio, path }),
        4 => (0u8..3, any::<bool>()).prop_map(|(direction, both)| Act::Sync { direction, both }),
        3 => (side(), 0u64..60).prop_map(|(studio, effects)| Act::Crash { studio, effects }),
        2 => (side(), 0u64..8).prop_map(|(studio, messages)| Act::Cut { studio, messages }),
        1 => (side(), 0u64..8, any::<usize>()).prop_map(|(studio, message, bit)| Act::Corrupt { studio, message, bit }),
        1 => (side(), 0u64..30).prop_map(|(studio, effects)| Act::Full { studio, effects }),
        1 => Just(Act::NewPod),
    ]
}

/// Every content is one of a kind: so none can hide behind another.
fn content(number: u16, stamp: usize) -> Vec<u8> {
    let mut text = format!("content {number} of {stamp}\n").into_bytes();
    // Some are large enough for a delta.
    if number.is_multiple_of(5) {
        text.extend(common::noise(70_000, u64::from(number % 3)));
    }
    text
}

fn contents(root: &Path) -> BTreeSet<Vec<u8>> {
    tree(root)
        .into_iter()
        .filter(|(path, _)| !path.starts_with(".atelier-sync"))
        .filter_map(|(_, thing)| match thing {
            Thing::File { content, .. } => Some(content),
            Thing::Folder | Thing::Link(_) => None,
        })
        .collect()
}

fn request(direction: u8, both: bool) -> Request {
    Request {
        direction: [Direction::Both, Direction::ToServer, Direction::ToStudio]
            [usize::from(direction)],
        on_conflict: if both { OnConflict::KeepBoth } else { OnConflict::Report },
        on_mass_deletion: OnMassDeletion::Ask,
        ..Request::default()
    }
}

struct World {
    pair: Pair,
    /// What users left lying, and neither deleted nor overwrote.
    at_rest: BTreeSet<Vec<u8>>,
    stamp: usize,
}

impl World {
    fn root(&self, studio: bool) -> PathBuf {
        if studio { self.pair.studio("") } else { self.pair.server("") }
    }

    /// A user's own deed: what they remove or overwrite they don't miss, wherever else it is.
    fn edit(&mut self, studio: bool, deed: impl FnOnce(&Path, &mut usize)) {
        let root = self.root(studio);
        let before = contents(&root);
        deed(&root, &mut self.stamp);
        let after = contents(&root);
        for gone in before.difference(&after) {
            self.at_rest.remove(gone);
        }
        self.at_rest.extend(after.difference(&before).cloned());
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Write { studio, path, content: number } => self.edit(*studio, |root, stamp| {
                *stamp += 1;
                let path = root.join(PATHS[*path]);
                // A file in the way of a folder, or the other way round: the user can't.
                if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                    fs::remove_file(&path).ok();
                    fs::write(&path, content(*number, *stamp)).ok();
                }
            }),
            Act::Remove { studio, path } => self.edit(*studio, |root, _| {
                let path = root.join(PATHS[*path]);
                fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).ok();
            }),
            Act::Folder { studio, path } => self.edit(*studio, |root, _| {
                fs::create_dir_all(root.join(PATHS[*path])).ok();
            }),
            Act::Rename { studio, from, to } => self.edit(*studio, |root, _| {
                fs::rename(root.join(PATHS[*from]), root.join(PATHS[*to])).ok();
            }),
            Act::Executable { studio, path } => self.edit(*studio, |root, _| {
                let path = root.join(PATHS[*path]);
                if path.is_file() && !path.is_symlink() {
                    common::set_executable(&path, true);
                }
            }),
            Act::Link { studio, path } => self.edit(*studio, |root, _| {
                let path = root.join(PATHS[*path]);
                if path.parent().is_some_and(Path::is_dir) && !path.exists() {
                    std::os::unix::fs::symlink("/etc/hostname", &path).ok();
                }
            }),
            Act::Sync { direction, both } => {
                self.pair.sync_with(&request(*direction, *both));
            }
            Act::Crash { studio, effects } => self.faulty(*studio, Fault::Killed, *effects),
            Act::Full { studio, effects } => self.faulty(*studio, Fault::DiskFull, *effects),
            Act::Cut { studio, messages } => {
                self.mishap(*studio, Mishap { cut_after: Some(*messages), corrupt: None });
            }
            Act::Corrupt { studio, message, bit } => {
                self.mishap(*studio, Mishap { cut_after: None, corrupt: Some((*message, *bit)) });
            }
            Act::NewPod => {
                // What the old pod had and the zone lacks is gone with it, unless it was brought back first.
                self.pair.sync_with(&request(1, true));
                let brought = contents(&self.pair.server(""));
                self.at_rest.retain(|content| brought.contains(content));
                self.stamp += 1;
                self.pair.identity = format!("pod-{}", self.stamp);
                fs::remove_dir_all(self.pair.studio("")).unwrap();
                fs::create_dir_all(self.pair.studio("")).unwrap();
            }
        }
    }

    fn faulty(&mut self, studio: bool, fault: Fault, effects: u64) {
        let fs: Arc<FaultyFileSystem> = Arc::new(FaultyFileSystem::new(fault, effects));
        if studio {
            self.pair.studio_fs = Some(fs);
        } else {
            self.pair.server_fs = Some(fs);
        }
        self.pair.try_sync(&request(0, true)).0.ok();
        (self.pair.studio_fs, self.pair.server_fs) = (None, None);
    }

    fn mishap(&mut self, studio: bool, mishap: Mishap) {
        if studio {
            self.pair.studio_mishap = mishap;
        } else {
            self.pair.server_mishap = mishap;
        }
        self.pair.try_sync(&request(0, false)).0.ok();
        (self.pair.studio_mishap, self.pair.server_mishap) = (Mishap::default(), Mishap::default());
    }

    fn check(&mut self, after: &Act) {
        let mut there = contents(&self.pair.server(""));
        there.extend(contents(&self.pair.studio("")));
        // A user's deletion or edit that flowed on, or an answer to a question: those contents are in a trash.
        let mut trash: BTreeSet<Vec<u8>> = self.pair.trash().into_iter().collect();
        trash.extend(self.pair.studio_trash());
        for content in self.at_rest.clone() {
            if !there.contains(&content) {
                assert!(trash.contains(&content), "lost after {after:?}: {:?}", head(&content));
                self.at_rest.remove(&content);
            }
        }
    }
}

fn head(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned()
}

fn cases() -> u32 {
    if common::is_long() { 10_000 } else { 48 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_both_sides_become_one(acts in prop::collection::vec(act(), 1..40)) {
        let mut world = World { pair: Pair::new(), at_rest: BTreeSet::new(), stamp: 0 };
        for act in &acts {
            world.act(act);
            world.check(act);
        }
        // Answers to whatever is open; then both are the same, and nothing is left to do.
        let settle = Request {
            on_conflict: OnConflict::KeepBoth,
            on_mass_deletion: OnMassDeletion::Restore,
            ..Request::default()
        };
        for _ in 0..4 {
            world.pair.sync_with(&settle);
        }
        world.check(&Act::NewPod);
        world.pair.assert_settled();
    }
}
