//! The last run before a studio goes: what it leaves behind is gone for good.

use std::fs;

use sync::{Direction, OnConflict, Request};

use crate::common::{Mishap, Pair, noise, read, write};

fn stop() -> Request {
    Request {
        direction: Direction::ToServer,
        on_conflict: OnConflict::KeepBoth,
        ..Request::default()
    }
}

fn with_work() -> Pair {
    let pair = Pair::new();
    write(pair.server("shared"), "before");
    write(pair.server("mine"), "before");
    pair.sync();
    write(pair.server("shared"), "changed on the server meanwhile");
    write(pair.studio("shared"), "changed in the studio");
    write(pair.studio("mine"), "a day of work");
    write(pair.studio("results/model.bin"), noise(400_000, 1));
    fs::create_dir(pair.studio("results/empty")).unwrap();
    pair
}

fn assert_saved(pair: &Pair) {
    let server: Vec<Vec<u8>> = crate::common::tree(&pair.server(""))
        .into_values()
        .filter_map(|thing| match thing {
            crate::common::Thing::File { content, .. } => Some(content),
            crate::common::Thing::Folder | crate::common::Thing::Link(_) => None,
        })
        .collect();
    for content in
        [&b"a day of work"[..], b"changed in the studio", b"changed on the server meanwhile"]
    {
        assert!(server.iter().any(|found| found == content), "{:?}", content.escape_ascii());
    }
    assert!(fs::read(pair.server("results/model.bin")).unwrap() == noise(400_000, 1));
    assert!(pair.server("results/empty").is_dir());
}

/// Everything is on the server, conflicts too, before the studio may go.
#[test]
fn gitpod_4671_work_is_on_the_server_when_a_stop_ends_well() {
    let mut pair = with_work();
    let outcome = pair.sync_with(&stop());
    assert!(outcome.conflicts.is_empty() && outcome.skipped.is_empty(), "{outcome:?}");
    assert_eq!(outcome.kept_both.len(), 1);
    assert_saved(&pair);
    // The next studio has it all.
    fs::remove_dir_all(pair.studio("")).unwrap();
    pair.identity = "pod-2".to_owned();
    pair.sync();
    assert_eq!(read(pair.studio("mine")), "a day of work");
    pair.assert_settled();
}

/// A stop whose connection breaks is no success, at any message; tried again, it saves everything.
#[test]
fn gitpod_1270_a_stop_that_breaks_says_so_and_can_be_tried_again() {
    for studio in [false, true] {
        for messages in 0..20 {
            let mut pair = with_work();
            let mishap = Mishap { cut_after: Some(messages), ..Mishap::default() };
            if studio {
                pair.studio_mishap = mishap;
            } else {
                pair.server_mishap = mishap;
            }
            let (outcome, _) = pair.try_sync(&stop());
            (pair.studio_mishap, pair.server_mishap) = (Mishap::default(), Mishap::default());
            if outcome.is_ok() {
                assert_saved(&pair);
            }
            pair.sync_with(&stop());
            assert_saved(&pair);
        }
    }
}

/// What can't be saved is named, so that the caller can refuse to stop.
#[test]
fn gitpod_4671_what_could_not_be_saved_is_named() {
    let mut pair = with_work();
    pair.server_fs =
        Some(std::sync::Arc::new(sync::FaultyFileSystem::new(sync::Fault::DiskFull, 6)));
    let (outcome, _) = pair.try_sync(&stop());
    if let Ok(outcome) = outcome {
        let named = outcome.skipped.iter().any(|skipped| !skipped.special);
        assert!(named, "a full disk and a success without a word");
    }
    pair.server_fs = None;
    pair.sync_with(&stop());
    assert_saved(&pair);
}
