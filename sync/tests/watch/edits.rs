//! One kind of change after the other.

#![expect(clippy::disallowed_methods, reason = "a deadline")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sync::{Request, Watch};

use crate::{
    assert_nothing_was_missed,
    common::{Mishap, Pair, link, read, tree, write},
    full_looks, sights, watched,
};

type Edit = fn(&Path, &Path);

/// Each is made in a side's root, with a folder outside of it.
const EDITS: &[(&str, Edit)] = &[
    ("write in place", |root, _| write(root.join("a/b/file"), "edited")),
    ("rename over, as editors do", |root, _| {
        write(root.join("a/.file.swp"), "renamed over");
        fs::rename(root.join("a/.file.swp"), root.join("a/file")).unwrap();
    }),
    ("truncate and write", |root, _| {
        fs::File::create(root.join("a/file")).unwrap();
        write(root.join("a/file"), "shorter");
    }),
    ("a deep new folder", |root, _| write(root.join("n/e/w/file"), "deep")),
    ("rename a folder with content", |root, _| {
        fs::rename(root.join("a/b"), root.join("moved")).unwrap();
    }),
    ("write in the renamed folder", |root, _| write(root.join("moved/file"), "after the move")),
    ("move a folder in from outside", |root, outside| {
        write(outside.join("came/deep/file"), "from outside");
        fs::rename(outside.join("came"), root.join("a/came")).unwrap();
    }),
    ("write in what came from outside", |root, _| write(root.join("a/came/deep/file"), "after")),
    ("move a folder out", |root, outside| {
        fs::rename(root.join("a/came"), outside.join("left")).unwrap();
    }),
    ("another folder in its place", |root, outside| {
        write(outside.join("left/deep/file"), "edited outside");
        write(root.join("a/came/deep/other"), "another");
    }),
    ("exchange two folders", |root, _| {
        fs::rename(root.join("n"), root.join("x")).unwrap();
        fs::rename(root.join("moved"), root.join("n")).unwrap();
        fs::rename(root.join("x"), root.join("moved")).unwrap();
    }),
    ("write in both", |root, _| {
        write(root.join("n/file"), "in n");
        write(root.join("moved/e/w/file"), "in moved");
    }),
    ("make executable", |root, _| {
        fs::set_permissions(root.join("a/file"), fs::Permissions::from_mode(0o755)).unwrap();
    }),
    ("a link", |root, _| link("a/file", root.join("link"))),
    ("a file in a folder's place", |root, _| {
        fs::remove_dir_all(root.join("n")).unwrap();
        write(root.join("n"), "a file now");
    }),
    ("a folder in a file's place", |root, _| {
        fs::remove_file(root.join("n")).unwrap();
        write(root.join("n/again/file"), "a folder again");
    }),
    ("a second name in another folder", |root, _| {
        fs::hard_link(root.join("a/file"), root.join("moved/other-name")).unwrap();
    }),
    ("write by the second name", |root, _| {
        let file = fs::OpenOptions::new().append(true).open(root.join("moved/other-name"));
        std::io::Write::write_all(&mut file.unwrap(), b" by another name").unwrap();
    }),
    ("delete a tree", |root, _| fs::remove_dir_all(root.join("moved")).unwrap()),
    ("in the root", |root, _| write(root.join("top"), "top")),
];

fn roots(pair: &Pair, studio: bool) -> (PathBuf, PathBuf) {
    let outside = pair.folder.path().join(if studio { "out-studio" } else { "out-server" });
    fs::create_dir_all(&outside).unwrap();
    (if studio { pair.studio("") } else { pair.server("") }, outside)
}

#[test]
fn every_kind_of_change_is_seen_without_a_look_at_everything() {
    for studio in [false, true] {
        let mut pair = watched(Pair::new());
        for number in 0..20 {
            write(pair.server(&format!("more/{number}/file")), number.to_string());
        }
        write(pair.server("a/file"), "file");
        write(pair.server("a/b/file"), "inner");
        pair.sync();
        pair.sync();
        let (root, outside) = roots(&pair, studio);
        let before = full_looks(&pair);
        for (name, edit) in EDITS {
            edit(&root, &outside);
            pair.sync();
            assert_eq!(tree(&pair.server("")), tree(&pair.studio("")), "{name}, studio: {studio}");
        }
        // One more on this side, for the other name of a file.
        assert_eq!(full_looks(&pair), before + 1, "{:?}", sights(&pair));
        assert_nothing_was_missed(&mut pair);
    }
}

#[test]
fn a_conflict_is_told_again_although_nothing_changes_any_more() {
    let mut pair = watched(Pair::new());
    write(pair.server("d/file"), "base");
    pair.sync();
    pair.sync();
    write(pair.server("d/file"), "server's");
    write(pair.studio("d/file"), "studio's");
    let before = full_looks(&pair);
    for _ in 0..3 {
        assert_eq!(pair.sync().conflicts.len(), 1);
    }
    write(pair.studio("d/file"), "server's");
    assert!(pair.sync().conflicts.is_empty());
    assert_eq!(full_looks(&pair), before);
    assert_nothing_was_missed(&mut pair);
}

#[test]
fn what_a_run_that_broke_off_did_not_do_is_done_by_the_next() {
    let mut pair = watched(Pair::new());
    for number in 0..50 {
        write(pair.server(&format!("{number}/file")), number.to_string());
    }
    pair.sync();
    pair.sync();
    let before = full_looks(&pair);
    for number in 0..50 {
        write(pair.studio(&format!("{number}/file")), format!("edited {number}"));
    }
    // Lost before the studio's listing reached the server, then before anything was agreed.
    for after in [1, 2] {
        pair.studio_mishap.cut_after = Some(after);
        pair.try_sync(&sync::Request::default()).0.unwrap_err();
    }
    pair.studio_mishap.cut_after = None;
    pair.sync();
    assert_eq!(read(pair.server("7/file")), "edited 7");
    assert_eq!(full_looks(&pair), before);
    assert_nothing_was_missed(&mut pair);
}

#[test]
fn new_exclusions_are_a_reason_to_look_at_everything() {
    let mut pair = watched(Pair::new());
    write(pair.server("kept/file"), "kept");
    pair.exclusions = vec!["out".to_owned()];
    write(pair.server("out/file"), "left out");
    pair.sync();
    pair.sync();
    let before = full_looks(&pair);
    write(pair.server("out/more"), "left out, too");
    pair.sync();
    assert_eq!(full_looks(&pair), before);
    pair.exclusions = Vec::new();
    pair.sync();
    assert_eq!(full_looks(&pair), before + 2);
    assert_eq!(read(pair.studio("out/more")), "left out, too");
    assert_nothing_was_missed(&mut pair);
}

/// The kernel tells the folder of the name by which a file was opened, and no other.
#[test]
fn what_nobody_tells_is_found_by_the_next_look_at_everything() {
    let mut pair = Pair::new();
    let often = Duration::from_millis(200);
    pair.studio_watch = Some(Arc::new(Watch::looking_everywhere(often, || {})));
    write(pair.studio("d/file"), "before");
    pair.sync();
    fs::hard_link(pair.studio("d/file"), pair.folder.path().join("elsewhere")).unwrap();
    write(pair.folder.path().join("elsewhere"), "by another name");
    let deadline = Instant::now() + Duration::from_secs(30);
    while read(pair.server("d/file")) != "by another name" {
        assert!(Instant::now() < deadline, "it is not found");
        pair.sync();
    }
}

/// A run that left aside what was agreed, and ended before anything else was: it saw nothing of what is gone.
#[test]
fn a_deletion_is_told_after_a_run_that_compared_with_nothing() {
    let mut pair = watched(Pair::new());
    write(pair.server("a"), "a");
    write(pair.server("b"), "b");
    pair.sync();
    pair.sync();
    fs::remove_file(pair.studio("a")).unwrap();
    // The server does not remember for this run.
    let memory = pair.memory(false).unwrap();
    let aside = memory.with_extension("aside");
    fs::rename(&memory, &aside).unwrap();
    pair.server_mishap = Mishap { cut_after: Some(1), ..Mishap::default() };
    assert!(pair.try_sync(&Request::default()).0.is_err());
    pair.server_mishap = Mishap::default();
    fs::rename(&aside, &memory).unwrap();
    pair.sync();
    assert!(!pair.server("a").exists());
    assert_nothing_was_missed(&mut pair);
}
