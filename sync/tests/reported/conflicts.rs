//! Two people's work at one path: none of it goes, nobody is surprised, and copies don't breed.

use std::fs;

use sync::{ConflictKind, Direction, OnConflict, Request};

use crate::common::{Pair, read, tree, write};

/// Whatever the direction and the policy, both versions lie on a side afterwards, not in a trash.
#[test]
fn syncthing_3258_a_conflicting_edit_is_never_replaced_without_a_copy() {
    for direction in [Direction::Both, Direction::ToServer, Direction::ToStudio] {
        for on_conflict in [OnConflict::Report, OnConflict::KeepBoth] {
            let pair = Pair::new();
            write(pair.server("a"), "before");
            pair.sync();
            write(pair.server("a"), "written on the server");
            write(pair.studio("a"), "written in the studio");
            for _ in 0..3 {
                pair.sync_with(&Request { direction, on_conflict, ..Request::default() });
                pair.assert_has("written on the server");
                pair.assert_has("written in the studio");
            }
            pair.sync_keeping_both();
            pair.assert_settled();
            assert_eq!(tree(&pair.server("")).len(), 2);
        }
    }
}

/// The newer time does not decide: a clock that is wrong would delete work.
#[test]
fn syncthing_3258_nor_by_the_newer_of_two_clocks() {
    let pair = Pair::new();
    write(pair.server("a"), "before");
    pair.sync();
    write(pair.server("a"), "old by its clock");
    write(pair.studio("a"), "new by its clock");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    fs::File::open(pair.server("a")).unwrap().set_modified(old).unwrap();
    assert_eq!(pair.sync().conflicts[0].kind, ConflictKind::EditEdit);
    assert_eq!(read(pair.server("a")), "old by its clock");
    assert_eq!(read(pair.studio("a")), "new by its clock");
}

/// Conflict after conflict, also on the copies themselves: one copy for each version, and no copy's name holds another's.
#[test]
fn syncthing_2282_there_are_no_copies_of_copies() {
    let pair = Pair::new();
    write(pair.server("a.txt"), "before");
    pair.sync();
    for round in 0..3 {
        for path in tree(&pair.server("")).into_keys() {
            let path = path.to_str().unwrap();
            write(pair.server(path), format!("{path} on the server, {round}"));
            write(pair.studio(path), format!("{path} in the studio, {round}"));
        }
        let before = tree(&pair.server("")).len();
        pair.sync_keeping_both();
        let after: Vec<_> = tree(&pair.server("")).into_keys().collect();
        assert_eq!(after.len(), 2 * before, "{after:?}");
        for path in &after {
            let name = path.to_str().unwrap();
            assert!(name.matches(".conflict-").count() <= 1, "{name}");
        }
        // Again, without any new edit.
        pair.sync_keeping_both();
        pair.assert_settled();
        assert_eq!(tree(&pair.server("")).len(), after.len());
    }
}

/// Names that have no room for a mark, and that differ only where they are shortened for it.
#[test]
fn syncthing_2282_nor_of_files_with_long_names() {
    let pair = Pair::new();
    let names = ["ä".repeat(126) + "a", "ä".repeat(126) + "b"];
    for name in &names {
        write(pair.server(name), "before");
    }
    pair.sync();
    for name in &names {
        write(pair.server(name), format!("{name} on the server"));
        write(pair.studio(name), format!("{name} in the studio"));
    }
    let stop = Request {
        direction: Direction::ToServer,
        on_conflict: OnConflict::KeepBoth,
        ..Request::default()
    };
    for _ in 0..3 {
        pair.sync_with(&stop);
    }
    let after = tree(&pair.server(""));
    assert_eq!(after.len(), 4, "{:?}", after.keys());
    for name in &names {
        pair.assert_has(format!("{name} on the server"));
        pair.assert_has(format!("{name} in the studio"));
    }
    assert!(after.into_keys().all(|path| path.to_str().is_some()));
}

/// An edit against a deletion: neither silently wins.
#[test]
fn nbgitpuller_263_a_deletion_does_not_silently_beat_an_edit() {
    let pair = Pair::new();
    write(pair.server("lesson"), "as given");
    write(pair.server("other"), "as given too");
    pair.sync();
    fs::remove_file(pair.server("lesson")).unwrap();
    write(pair.studio("lesson"), "the student's answer");
    let outcome = pair.sync();
    assert_eq!(outcome.conflicts[0].kind, ConflictKind::DeletedOnServer);
    assert_eq!(read(pair.studio("lesson")), "the student's answer");
    assert!(!pair.server("lesson").exists());
    // Where nobody can be asked, the edit stays.
    pair.sync_keeping_both();
    assert_eq!(read(pair.server("lesson")), "the student's answer");
    pair.assert_settled();
}

#[test]
fn nbgitpuller_265_an_edit_does_not_silently_undo_a_deletion() {
    let pair = Pair::new();
    write(pair.server("lesson"), "as given");
    write(pair.server("other"), "as given too");
    pair.sync();
    fs::remove_file(pair.studio("lesson")).unwrap();
    write(pair.server("lesson"), "corrected by the teacher");
    let outcome = pair.sync();
    assert_eq!(outcome.conflicts[0].kind, ConflictKind::DeletedInStudio);
    assert!(!pair.studio("lesson").exists(), "not back without being asked for");
    assert_eq!(read(pair.server("lesson")), "corrected by the teacher");
}
