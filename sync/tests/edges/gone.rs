//! Folders that are gone as a whole: told in a word, decided on as one, and gone from the other side in one step, unless anything
//! speaks against it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sync::{ConflictKind, Direction, FileSystem, OnMassDeletion, Outcome, Request, Watch};

use crate::common::{
    Mishap, Pair,
    interpose::{Effect, Instead, Interpose},
    noise, read, tree, troubles, write,
};

/// Files below `a`, in ten folders; few enough that nobody is asked about them.
const FILES: usize = 90;
/// With the folders that they are in.
const ENTRIES: usize = FILES + 11;

fn filled(files: usize) -> Pair {
    let pair = Pair::in_memory();
    fill(&pair, files);
    pair
}

fn fill(pair: &Pair, files: usize) {
    for number in 0..files {
        let name = format!("a/{}/file-{number}", number % 10);
        write(pair.server(&name), noise(3_000, number as u64));
    }
    for name in ["beside", "x/y"] {
        write(pair.server(name), name);
    }
    pair.sync();
}

/// The root of who deletes, and the other one.
fn roots(pair: &Pair, studio: bool) -> (PathBuf, PathBuf) {
    let (server, there) = (pair.server(""), pair.studio(""));
    if studio { (there, server) } else { (server, there) }
}

fn remove(root: &Path) {
    fs::remove_dir_all(root.join("a")).unwrap();
}

fn bytes(outcome: &Outcome) -> u64 {
    outcome.stats.bytes_sent + outcome.stats.bytes_received
}

fn answering(on_mass_deletion: OnMassDeletion) -> Request {
    Request { on_mass_deletion, ..Request::default() }
}

/// Changes of the side that did not delete.
fn changes(outcome: &Outcome, studio: bool) -> usize {
    if studio { outcome.server_changes.len() } else { outcome.studio_changes.len() }
}

/// Contents in the trashes of both sides.
fn trashed(pair: &Pair) -> usize {
    pair.trash().len() + pair.studio_trash().len()
}

#[track_caller]
fn assert_agreed(pair: &Pair) {
    let again = pair.sync();
    assert!(bytes(&again) < 200, "{} bytes: it is not agreed", bytes(&again));
    pair.assert_settled();
}

#[test]
fn it_is_told_in_a_word_and_each_path_is_reported() {
    for studio in [true, false] {
        let pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        let outcome = pair.sync();
        assert_eq!(changes(&outcome, studio), ENTRIES, "{:?}", outcome.skipped);
        assert!(bytes(&outcome) < 500, "{} bytes", bytes(&outcome));
        assert!(!theirs.join("a").exists());
        assert_eq!(trashed(&pair), FILES);
        let (lost, stats) = (outcome.losses, outcome.stats);
        assert_eq!(
            (lost.by_studio + lost.by_server, stats.studio_entries > 0),
            (FILES as u64, true)
        );
        assert_agreed(&pair);
    }
}

#[test]
fn what_the_other_side_edited_in_it_is_a_conflict_and_the_rest_goes() {
    for studio in [true, false] {
        let pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        write(theirs.join("a/3/file-3"), "edited there");
        let outcome = pair.sync();
        let [conflict] = outcome.conflicts.as_slice() else { panic!("{:?}", outcome.conflicts) };
        let kind =
            if studio { ConflictKind::DeletedInStudio } else { ConflictKind::DeletedOnServer };
        assert_eq!((conflict.path.to_string().as_str(), conflict.kind), ("a/3/file-3", kind));
        assert_eq!(read(theirs.join("a/3/file-3")), "edited there");
        assert_eq!(tree(&theirs.join("a")).len(), 2, "{:?}", tree(&theirs.join("a")));
        assert_eq!(trashed(&pair), FILES - 1);
        pair.sync_keeping_both();
        assert_eq!(read(mine.join("a/3/file-3")), "edited there");
        pair.assert_settled();
    }
}

#[test]
fn what_is_new_in_it_on_the_other_side_stays_and_the_rest_goes() {
    for studio in [true, false] {
        let pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        write(theirs.join("a/4/new"), "new there");
        pair.sync();
        assert_eq!(read(mine.join("a/4/new")), "new there");
        assert_eq!(tree(&theirs.join("a")).len(), 2);
        assert_agreed(&pair);
    }
}

#[test]
fn all_that_goes_with_it_is_counted_when_people_are_asked() {
    for studio in [true, false] {
        for answer in [OnMassDeletion::Allow, OnMassDeletion::Restore] {
            let pair = filled(250);
            let (mine, theirs) = roots(&pair, studio);
            let before = tree(&theirs);
            remove(&mine);
            for _ in 0..2 {
                let outcome = pair.sync();
                let [question] = outcome.questions.as_slice() else {
                    panic!("{:?}", outcome.questions)
                };
                assert_eq!((question.deletions, question.of), (250, 252));
                assert_eq!((outcome.losses.by_studio, outcome.losses.by_server), (0, 0));
                assert_eq!(tree(&theirs), before);
                assert!(bytes(&outcome) < 500, "{} bytes", bytes(&outcome));
            }
            let outcome = pair.sync_with(&answering(answer));
            assert!(outcome.questions.is_empty());
            if answer == OnMassDeletion::Allow {
                assert!(!theirs.join("a").exists());
                assert_eq!(trashed(&pair), 250);
            } else {
                assert_eq!((tree(&mine), trashed(&pair)), (before, 0));
            }
            assert_agreed(&pair);
        }
    }
}

#[test]
fn what_everything_is_gone_of_is_asked_about_however_little_it_is() {
    for studio in [true, false] {
        let pair = Pair::in_memory();
        for number in 0..5 {
            write(pair.server(&format!("a/{number}")), format!("{number}"));
        }
        pair.sync();
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        let outcome = pair.sync();
        assert_eq!(outcome.questions.len(), 1);
        assert_eq!(tree(&theirs.join("a")).len(), 5);
    }
}

#[test]
fn what_becomes_excluded_when_it_goes_stays_on_the_other_side() {
    for studio in [true, false] {
        let mut pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        pair.exclusions = vec!["file-7".to_owned()];
        remove(&mine);
        pair.sync();
        assert_eq!(fs::read(theirs.join("a/7/file-7")).unwrap(), noise(3_000, 7));
        assert_eq!(tree(&theirs.join("a")).len(), 2, "{:?}", tree(&theirs.join("a")));
        let again = pair.sync();
        assert_eq!((again.server_changes, again.studio_changes), (vec![], vec![]));
        assert!(theirs.join("a/7/file-7").exists());
    }
}

#[test]
fn contents_that_are_elsewhere_now_neither_travel_nor_count() {
    for studio in [true, false] {
        let pair = filled(250);
        let (mine, theirs) = roots(&pair, studio);
        for number in 0..250 {
            let content = fs::read(mine.join(format!("a/{}/file-{number}", number % 10))).unwrap();
            write(mine.join(format!("b/{number}")), content);
        }
        remove(&mine);
        let outcome = pair.sync();
        assert!(outcome.questions.is_empty(), "{:?}", outcome.questions);
        assert!(bytes(&outcome) < 40_000, "{} bytes", bytes(&outcome));
        assert_eq!(tree(&theirs.join("b")).len(), 250);
        assert!(!theirs.join("a").exists());
        assert_agreed(&pair);
    }
}

#[test]
fn both_sides_deleted_the_same_or_one_within_the_other() {
    let pair = filled(FILES);
    for studio in [true, false] {
        remove(&roots(&pair, studio).0);
    }
    let outcome = pair.sync();
    assert_eq!((outcome.server_changes.len(), outcome.studio_changes.len()), (0, 0));
    assert!(bytes(&outcome) < 500, "{} bytes", bytes(&outcome));
    assert_agreed(&pair);
    for studio in [true, false] {
        let pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        fs::remove_dir_all(theirs.join("a/3")).unwrap();
        pair.sync();
        assert!(!theirs.join("a").exists());
        assert_agreed(&pair);
    }
}

#[test]
fn the_other_side_moved_something_into_it_or_out_of_it_or_all_of_it() {
    let deeds: [(&str, &str, &str); 3] =
        [("x", "a/x", "a/x/y"), ("a/3", "three", "three/file-3"), ("a", "b", "b/3/file-3")];
    for studio in [true, false] {
        for (from, to, file) in deeds {
            let pair = filled(FILES);
            let (mine, theirs) = roots(&pair, studio);
            let content = fs::read(theirs.join(file.replacen(to, from, 1))).unwrap();
            remove(&mine);
            fs::rename(theirs.join(from), theirs.join(to)).unwrap();
            pair.sync();
            pair.assert_settled();
            for root in [&mine, &theirs] {
                assert_eq!(fs::read(root.join(file)).unwrap(), content, "{from} to {to}");
                assert!(!root.join("a/4").exists());
            }
        }
    }
}

#[test]
fn a_direction_and_one_way_hold_for_it() {
    let only = |direction| Request { direction, ..Request::default() };
    for (studio, against, along) in [
        (true, Direction::ToStudio, Direction::ToServer),
        (false, Direction::ToServer, Direction::ToStudio),
    ] {
        let pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        for direction in [against, Direction::Check] {
            let outcome = pair.sync_with(&only(direction));
            let told = if direction == against { 0 } else { ENTRIES };
            assert_eq!(changes(&outcome, studio), told, "{direction:?}");
            assert_eq!(tree(&theirs.join("a")).len(), ENTRIES - 1, "{direction:?}");
        }
        pair.sync_with(&only(along));
        assert!(!theirs.join("a").exists());
        assert_agreed(&pair);
    }
    let mut pair = Pair::in_memory();
    pair.one_way = true;
    fill(&pair, FILES);
    remove(&pair.studio(""));
    pair.sync();
    assert_eq!(tree(&pair.server("a")).len(), ENTRIES - 1);
}

#[test]
fn watched_looks_find_it_and_what_comes_back() {
    let mut pair = filled(FILES);
    let watch = || Some(Arc::new(Watch::new(|| {})));
    (pair.server_watch, pair.studio_watch) = (watch(), watch());
    pair.sync();
    pair.sync();
    let before = tree(&pair.server(""));
    for studio in [true, false, true] {
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        let outcome = pair.sync();
        assert!(bytes(&outcome) < 500, "{} bytes", bytes(&outcome));
        assert!(!theirs.join("a").exists());
        assert_eq!(
            outcome.stats.server_entries + outcome.stats.studio_entries,
            3 + 3 + ENTRIES as u64
        );
        for number in 0..FILES {
            let name = format!("a/{}/file-{number}", number % 10);
            write(mine.join(name), noise(3_000, number as u64));
        }
        pair.sync();
        assert_eq!(tree(&theirs), before);
        pair.assert_settled();
    }
    let (looks, full) = pair.studio_watch.as_ref().unwrap().looks();
    assert!(full <= 2, "{full} of {looks} looks were at everything");
}

/// One that can't go as a whole goes path by path in the same run.
#[test]
fn what_somebody_puts_into_it_unseen_stays_and_the_rest_goes_in_the_same_run() {
    for studio in [true, false] {
        let mut pair = filled(FILES);
        let (mine, theirs) = roots(&pair, studio);
        remove(&mine);
        let late = theirs.join("a/4/late");
        let hook = move |effect: Effect<'_>| {
            // The notes about what will go, of which there are others then.
            if matches!(effect, Effect::Create(_, b"notes")) && !late.exists() {
                write(&late, "late");
            }
            Ok(Instead::Go)
        };
        let fs: Arc<dyn FileSystem> = Arc::new(Interpose::new(hook));
        *(if studio { &mut pair.server_fs } else { &mut pair.studio_fs }) = Some(fs);
        let outcome = pair.sync();
        assert_eq!(changes(&outcome, studio), ENTRIES - 2, "{:?}", outcome.skipped);
        assert_eq!(tree(&theirs.join("a")).len(), 2);
        (pair.server_fs, pair.studio_fs) = (None, None);
        pair.sync();
        assert_eq!(read(mine.join("a/4/late")), "late");
        assert_agreed(&pair);
    }
}

fn small(studio: bool) -> Pair {
    let pair = filled(12);
    remove(&roots(&pair, studio).0);
    pair
}

fn assert_ends_well(mut pair: Pair, when: &str) {
    (pair.server_fs, pair.studio_fs) = (None, None);
    (pair.server_mishap, pair.studio_mishap) = (Mishap::default(), Mishap::default());
    let allow = answering(OnMassDeletion::Allow);
    pair.sync_with(&allow);
    pair.sync_with(&allow);
    pair.assert_settled();
    assert!(!pair.server("a").exists(), "{when}");
    assert_eq!(read(pair.server("x/y")), "x/y", "{when}");
    assert_eq!(trashed(&pair), 12, "{when}");
}

#[test]
fn killed_before_any_effect_of_either_side() {
    troubles::killed_before_any_effect(2, small, assert_ends_well);
}

#[test]
fn any_message_is_lost_doubled_cut_off_or_late() {
    troubles::any_message_in_trouble(small, assert_ends_well);
}
