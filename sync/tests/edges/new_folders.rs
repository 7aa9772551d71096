//! New folders, which are filled beside their place, while something comes between.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::common::{
    Pair,
    interpose::{Effect, Instead, Interpose},
    read, tree, write,
};

const FILES: usize = 120;

fn prepare() -> Pair {
    let pair = Pair::new();
    for number in 0..FILES {
        write(pair.server(&format!("new/{}/f{number}", number % 9)), format!("file {number}"));
    }
    write(pair.server("new/large"), crate::common::noise(200_000, 1));
    crate::common::link("0/f0", pair.server("new/link"));
    pair
}

fn is_in(folder: BorrowedFd<'_>, part: &str) -> bool {
    let path = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    path.is_ok_and(|path| path.to_string_lossy().contains(part))
}

/// No room in the staging folder for some.
fn is_full(folder: BorrowedFd<'_>, name: &[u8]) -> bool {
    is_in(folder, "/stage") && matches!(name, b"f7" | b"f8" | b"4")
}

#[test]
fn a_new_folder_comes_into_its_place_at_once() {
    let mut pair = prepare();
    let seen = Arc::new(AtomicBool::new(false));
    let (whole, root) = (seen.clone(), pair.studio("new"));
    pair.studio_fs =
        Some(Arc::new(Interpose::new(move |effect: Effect<'_>| -> io::Result<Instead> {
            if matches!(effect, Effect::RenameNew(_, _, _, b"large")) {
                let there = tree(&root);
                whole.store(there.len() == 9 + FILES, Ordering::SeqCst);
            }
            Ok(Instead::Go)
        })));
    pair.sync();
    assert!(seen.load(Ordering::SeqCst), "the small files were there with their folder");
    pair.assert_settled();
}

#[test]
fn somebody_makes_a_folder_where_a_new_one_should_come() {
    let mut pair = prepare();
    let (done, there) = (AtomicBool::new(false), pair.studio("new"));
    pair.studio_fs =
        Some(Arc::new(Interpose::new(move |effect: Effect<'_>| -> io::Result<Instead> {
            if matches!(effect, Effect::RenameNew(_, _, _, b"new"))
                && !done.swap(true, Ordering::SeqCst)
            {
                write(there.join("mine"), "mine");
                write(there.join("3/f3"), "mine too");
            }
            Ok(Instead::Go)
        })));
    let outcome = pair.sync();
    let skipped: Vec<_> = outcome.skipped.iter().map(|it| it.path.as_bytes().to_vec()).collect();
    assert_eq!(skipped, [b"new/3/f3"], "{:?}", outcome.skipped);
    assert_eq!(read(pair.studio("new/mine")), "mine");
    assert_eq!(read(pair.studio("new/3/f3")), "mine too");
    assert_eq!(tree(&pair.studio("new")).len(), 9 + FILES + 3);
    let stage = tree(&pair.folder.path().join("studio.state/stage"));
    assert!(stage.keys().all(|path| path.to_string_lossy().starts_with("SHELF")), "{stage:?}");
    pair.studio_fs = None;
    pair.sync_keeping_both();
    pair.assert_has("mine too");
    pair.assert_has("file 3");
    pair.assert_settled();
}

#[test]
fn a_disk_that_is_full_for_some_files_of_a_new_folder_holds_up_no_other() {
    let mut pair = prepare();
    pair.studio_fs = Some(Arc::new(Interpose::new(move |effect: Effect<'_>| match effect {
        Effect::Create(folder, name) | Effect::MakeFolder(folder, name)
            if is_full(folder, name) =>
        {
            Err(io::ErrorKind::StorageFull.into())
        }
        _ => Ok(Instead::Go),
    })));
    let outcome = pair.sync();
    let mut skipped: Vec<_> =
        outcome.skipped.iter().map(|it| it.path.as_bytes().to_vec()).collect();
    skipped.sort();
    assert_eq!(skipped, [b"new/7/f7", b"new/8/f8"], "{:?}", outcome.skipped);
    assert_eq!(tree(&pair.studio("new")).len(), 9 + FILES);
    pair.studio_fs = None;
    pair.sync();
    pair.assert_settled();
}
