//! A side that is empty, fresh, half-ready or not there must never win over one that holds work.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sync::{Request, Side};

use crate::common::{Mishap, Pair, noise, people, read, tree, write};

/// A zone with work in it, known to both sides.
fn with_work() -> Pair {
    let pair = Pair::new();
    write(pair.server("model.py"), "from the image");
    write(pair.server("data/table.csv"), "from the image too");
    pair.sync();
    write(pair.studio("model.py"), "a week of work");
    write(pair.studio("notes.md"), "and what it was for");
    pair.sync();
    pair
}

fn make_anew(root: &Path, aside: PathBuf) {
    fs::rename(root, aside).unwrap();
    fs::create_dir(root).unwrap();
}

/// The image's own content comes back with a restart, older than what was worked on.
#[test]
fn mutagen_275_a_restarted_containers_fresh_content_erases_nothing() {
    for new_pod in [false, true] {
        let mut pair = with_work();
        make_anew(&pair.studio(""), pair.folder.path().join("old-layer"));
        write(pair.studio("model.py"), "from the image");
        write(pair.studio("data/table.csv"), "from the image too");
        if new_pod {
            pair.identity = "pod-2".to_owned();
        }
        let outcome = pair.sync();
        assert_eq!(outcome.conflicts.len(), 1, "two contents without a common past");
        assert_eq!(read(pair.server("model.py")), "a week of work");
        assert_eq!(read(pair.server("notes.md")), "and what it was for");
        pair.sync_keeping_both();
        assert_eq!(read(pair.server("model.py")), "a week of work");
        assert_eq!(read(pair.studio("notes.md")), "and what it was for");
        pair.assert_settled();
    }
}

/// The same pod and the same folder, but nothing is in it any more.
#[test]
fn okteto_949_an_empty_side_does_not_win() {
    let pair = with_work();
    let before = tree(&pair.server(""));
    for item in fs::read_dir(pair.studio("")).unwrap() {
        let path = item.unwrap().path();
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    for _ in 0..3 {
        let outcome = pair.sync();
        assert_eq!(outcome.questions[0].lost_by, Side::Studio, "somebody has to say so");
        assert_eq!(tree(&pair.server("")), before);
    }
}

/// The first copy was cut at any message, and the next begins with another pod on the half-filled folder, or on a new one.
#[test]
fn okteto_522_a_half_ready_side_does_not_win() {
    for same_folder in [true, false] {
        for messages in 0..6 {
            let mut pair = Pair::new();
            for number in 0..40 {
                write(pair.server(&format!("d{}/f{number}", number % 3)), noise(90_000, number));
            }
            let before = tree(&pair.server(""));
            pair.server_mishap = Mishap { cut_after: Some(messages), ..Mishap::default() };
            pair.try_sync(&Request::default()).0.ok();
            pair.server_mishap = Mishap::default();
            if !same_folder {
                make_anew(&pair.studio(""), pair.folder.path().join("aside"));
            }
            pair.identity = "pod-2".to_owned();
            let outcome = pair.sync();
            assert!(outcome.server_changes.is_empty(), "{:?}", outcome.server_changes);
            assert_eq!(tree(&pair.server("")), before, "cut after {messages}");
            pair.assert_settled();
        }
    }
}

/// What can't be listed is not gone.
#[test]
fn devspace_326_a_failed_listing_is_not_no_files() {
    for studio in [false, true] {
        let pair = with_work();
        for number in 0..20 {
            write(pair.server(&format!("data/deep/{number}")), format!("row {number}"));
        }
        pair.sync();
        let before = tree(&pair.server(""));
        people::held_back(pair.folder.path(), || {
            let closed = if studio { pair.studio("data") } else { pair.server("data") };
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
            let outcome = pair.sync();
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
            let skipped = &outcome.skipped[0];
            assert_eq!(skipped.path.to_string(), "data");
            assert!(skipped.reason.contains("Permission denied"), "{}", skipped.reason);
            assert!(outcome.server_changes.is_empty() && outcome.studio_changes.is_empty());
            assert_eq!(tree(&pair.server("")), before);
            pair.assert_settled();
        });
    }
}

/// A root that can't be listed at all ends the run; it does not empty the other side.
#[test]
fn devspace_326_a_root_that_can_not_be_listed_ends_the_run() {
    let pair = with_work();
    let before = tree(&pair.server(""));
    people::held_back(pair.folder.path(), || {
        fs::set_permissions(pair.studio(""), fs::Permissions::from_mode(0o300)).unwrap();
        let (server, studio) = pair.try_sync(&Request::default());
        fs::set_permissions(pair.studio(""), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(server.is_err() && studio.is_err());
        assert_eq!(tree(&pair.server("")), before);
        pair.assert_settled();
    });
}

/// The volume is not mounted: the mount point is an empty folder, another one than the volume's root.
#[test]
fn syncthing_1496_storage_that_is_not_mounted_deletes_nothing() {
    for studio in [false, true] {
        let pair = with_work();
        let before = tree(&pair.server(""));
        let (root, volume) = if studio {
            (pair.studio(""), pair.folder.path().join("volume"))
        } else {
            (pair.server(""), pair.folder.path().join("volume"))
        };
        make_anew(&root, volume.clone());
        let outcome = pair.sync();
        assert!(outcome.questions.is_empty(), "nothing is known of this folder");
        let other = if studio { pair.server("") } else { pair.studio("") };
        assert_eq!(tree(&other), before, "not one file was deleted");
        // Work goes on, then the volume is there again.
        write(other.join("notes.md"), "written meanwhile");
        fs::remove_dir_all(&root).unwrap();
        fs::rename(&volume, &root).unwrap();
        pair.sync();
        pair.sync_keeping_both();
        pair.assert_has("written meanwhile");
        pair.assert_has("a week of work");
        pair.assert_settled();
    }
}

/// The root itself has gone: it is made anew, and filled from the other side.
#[test]
fn syncthing_10487_a_root_that_is_gone_deletes_nothing() {
    for studio in [false, true] {
        let pair = with_work();
        let before = tree(&pair.server(""));
        fs::remove_dir_all(if studio { pair.studio("") } else { pair.server("") }).unwrap();
        pair.sync();
        assert_eq!(tree(&pair.server("")), before);
        assert_eq!(tree(&pair.studio("")), before);
    }
}
