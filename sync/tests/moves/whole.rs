//! It is told in a word, and done in one step.

use std::{fs, sync::Arc};

use sync::{Direction, Request, Watch};

use crate::{
    agreed, bytes,
    common::{Pair, noise, read, tree, write},
    fill, inode, moved,
};

fn rename(pair: &Pair, studio: bool, from: &str, to: &str) {
    let at = |name| if studio { pair.studio(name) } else { pair.server(name) };
    fs::create_dir_all(at(to).parent().unwrap()).unwrap();
    fs::rename(at(from), at(to)).unwrap();
}

/// As it should be: one change, few bytes, the same inodes, and nothing left to do.
fn assert_moves(pair: &Pair, studio: bool, from: &str, to: &str) {
    let (mine, theirs) = if studio {
        (pair.studio(to), pair.server(from))
    } else {
        (pair.server(to), pair.studio(from))
    };
    let file = fs::read_dir(&theirs).unwrap().next().unwrap().unwrap().file_name();
    let before = (inode(&theirs), inode(theirs.join(&file)));
    let trashed = || pair.trash().len() + pair.studio_trash().len();
    let in_trash = trashed();
    let outcome = pair.sync();
    let changes = if studio { &outcome.server_changes } else { &outcome.studio_changes };
    assert_eq!(changes.last(), Some(&moved(from, to)), "{:?}", outcome.skipped);
    assert!(bytes(&outcome) < 1_000, "{} bytes", bytes(&outcome));
    let there = if studio { pair.server(to) } else { pair.studio(to) };
    assert_eq!((inode(&there), inode(there.join(&file))), before);
    assert!(!theirs.exists() && mine.exists());
    pair.assert_settled();
    assert_eq!(trashed(), in_trash);
}

#[test]
fn two_thousand_files_in_less_than_a_kilobyte_either_way() {
    let pair = agreed(2_000);
    for studio in [true, false] {
        rename(&pair, studio, "a", "renamed");
        assert_moves(&pair, studio, "a", "renamed");
        rename(&pair, studio, "renamed", "a");
        assert_moves(&pair, studio, "renamed", "a");
    }
}

#[test]
fn into_a_folder_that_is_there_and_into_one_that_is_new() {
    let pair = agreed(200);
    for studio in [true, false] {
        rename(&pair, studio, "a", "x/in");
        assert_moves(&pair, studio, "a", "x/in");
        let new = if studio { "new/deeper/b" } else { "newer/still/b" };
        rename(&pair, studio, "x/in", new);
        assert_moves(&pair, studio, "x/in", new);
        rename(&pair, studio, new, "a");
        assert_moves(&pair, studio, new, "a");
    }
}

#[test]
fn out_of_a_folder_that_goes_and_where_a_file_comes_in_its_place() {
    for studio in [true, false] {
        let pair = agreed(100);
        rename(&pair, studio, "a/3", "three");
        rename(&pair, studio, "a/4", "four");
        let root = |name| if studio { pair.studio(name) } else { pair.server(name) };
        fs::remove_dir_all(root("a")).unwrap();
        fs::write(root("a"), "a file now").unwrap();
        let outcome = pair.sync();
        let changes = if studio { &outcome.server_changes } else { &outcome.studio_changes };
        for change in [moved("a/3", "three"), moved("a/4", "four")] {
            assert!(changes.contains(&change), "{changes:?}");
        }
        assert_eq!(read(pair.server("a")), "a file now");
        pair.assert_settled();
        assert_eq!(tree(&pair.server("three")).len(), 10);
    }
}

#[test]
fn both_sides_moved_the_same() {
    let pair = agreed(200);
    for studio in [true, false] {
        rename(&pair, studio, "a", "b");
    }
    let outcome = pair.sync();
    assert_eq!((outcome.server_changes.len(), outcome.studio_changes.len()), (0, 0));
    assert!(bytes(&outcome) < 1_000, "{} bytes", outcome.stats.bytes_received);
    let outcome = pair.sync();
    assert!(bytes(&outcome) < 200, "{} bytes: it is not agreed", bytes(&outcome));
}

#[test]
fn several_at_once_on_both_sides_beside_other_changes() {
    let pair = agreed(300);
    for name in ["b", "c", "d"] {
        write(pair.server(name).join("inner/file"), noise(2_000, 77));
        write(pair.server(name).join(name), name);
    }
    pair.sync();
    rename(&pair, true, "a", "b2/a");
    rename(&pair, true, "b", "b2/b");
    rename(&pair, false, "c", "x/c");
    write(pair.studio("beside"), "edited");
    write(pair.server("new"), "new");
    fs::remove_file(pair.server("other/z")).unwrap();
    let outcome = pair.sync();
    assert!(outcome.server_changes.contains(&moved("a", "b2/a")));
    assert!(outcome.server_changes.contains(&moved("b", "b2/b")));
    assert!(outcome.studio_changes.contains(&moved("c", "x/c")));
    assert!(bytes(&outcome) < 2_000, "{} bytes", bytes(&outcome));
    pair.assert_settled();
    assert_eq!(read(pair.studio("x/c/c")), "c");
}

#[test]
fn what_moved_can_be_changed_and_moved_again() {
    let pair = agreed(100);
    rename(&pair, true, "a", "b");
    pair.sync();
    write(pair.server("b/3/file-3"), "edited");
    fs::remove_file(pair.studio("b/4/file-4")).unwrap();
    pair.sync();
    assert_eq!(read(pair.studio("b/3/file-3")), "edited");
    assert!(!pair.server("b/4/file-4").exists());
    rename(&pair, false, "b", "c");
    assert_moves(&pair, false, "b", "c");
}

#[test]
fn what_is_excluded_on_both_paths_comes_along() {
    for studio in [true, false] {
        let mut pair = Pair::new();
        pair.exclusions = vec!["__pycache__/".to_owned()];
        fill(&pair, 100);
        for root in [pair.server("a"), pair.studio("a")] {
            write(root.join("3/__pycache__/x.pyc"), root.to_string_lossy().as_bytes());
        }
        rename(&pair, studio, "a", "b");
        let outcome = pair.sync();
        let changes = if studio { &outcome.server_changes } else { &outcome.studio_changes };
        assert_eq!(changes, &[moved("a", "b")]);
        assert!(read(pair.server("b/3/__pycache__/x.pyc")).contains("zone"));
        assert!(read(pair.studio("b/3/__pycache__/x.pyc")).contains("studio"));
        assert!(!pair.server("a").exists() && !pair.studio("a").exists());
    }
}

#[test]
fn watched_looks_find_moves_too() {
    let mut pair = agreed(200);
    let watch = || Some(Arc::new(Watch::new(|| {})));
    (pair.server_watch, pair.studio_watch) = (watch(), watch());
    pair.sync();
    pair.sync();
    for (number, studio) in [true, false, true, false].into_iter().enumerate() {
        let (from, to) = [("a", "b"), ("b", "x/b")][number / 2];
        if number % 2 == 0 {
            rename(&pair, studio, from, to);
            assert_moves(&pair, studio, from, to);
        } else {
            write(pair.studio(to).join("3/new"), format!("new {number}"));
            pair.sync();
            assert_eq!(read(pair.server(to).join("3/new")), format!("new {number}"));
            fs::remove_file(pair.server(to).join("3/new")).unwrap();
            pair.sync();
            assert!(!pair.studio(to).join("3/new").exists());
        }
    }
    let (looks, full) = pair.studio_watch.as_ref().unwrap().looks();
    assert!(full <= 2, "{full} of {looks} looks were at everything");
}

#[test]
fn a_direction_holds_for_moves() {
    let pair = agreed(100);
    let only = |direction| Request { direction, ..Request::default() };
    rename(&pair, true, "a", "b");
    for direction in [Direction::ToStudio, Direction::Check] {
        let outcome = pair.sync_with(&only(direction));
        assert_eq!(outcome.studio_changes.len(), 0, "{direction:?}");
        assert!(pair.server("a").exists() && !pair.server("b").exists(), "{direction:?}");
        assert_eq!(outcome.server_changes.is_empty(), direction == Direction::ToStudio);
    }
    let outcome = pair.sync_with(&only(Direction::ToServer));
    assert_eq!(outcome.server_changes, [moved("a", "b")]);
    pair.assert_settled();
    rename(&pair, false, "b", "c");
    pair.sync_with(&only(Direction::ToServer));
    assert!(pair.studio("b").exists());
    let outcome = pair.sync_with(&only(Direction::ToStudio));
    assert_eq!(outcome.studio_changes, [moved("b", "c")]);
    pair.assert_settled();
}

#[test]
fn a_one_way_mount_is_never_moved_by_its_studio() {
    let mut pair = Pair::new();
    pair.one_way = true;
    fill(&pair, 100);
    rename(&pair, true, "a", "b");
    let outcome = pair.sync();
    assert_eq!(outcome.server_changes, []);
    assert!(pair.server("a").exists() && !pair.server("b").exists());
    rename(&pair, true, "b", "a");
    pair.sync();
    rename(&pair, false, "a", "c");
    let outcome = pair.sync();
    assert_eq!(outcome.studio_changes, [moved("a", "c")]);
}
