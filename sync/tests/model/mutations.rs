//! Whether the model would notice: engines that are broken on purpose, each in one way, must fail it.
//!
//! | broken | so |
//! | --- | --- |
//! | writes are dropped | a side has what nobody wrote |
//! | the swap of two names forgets the old one | what a file replaced is gone |
//! | a new name replaces what has it | what a user wrote at that moment is gone |
//! | what is deleted does not reach the trash | it can't be had back |
//! | a folder loses what is in it on its way to the trash | it can't be had back |
//! | the executable bit is not set | both sides are apart after a run that says nothing of it |
//! | folders are not removed | likewise |
//! | a folder that moved comes without what is in it | likewise |
//! | folders are not made | what is in them never comes |

use std::{
    cell::Cell,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::Arc,
};

use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, linkat, mkdirat, openat, renameat, statat, unlinkat,
};
use sync::FileSystem;

use crate::{
    acts,
    common::interpose::{Effect, Instead, Interpose},
    config,
    world::{Broken, World, is_of_the_engine},
};

/// Cases within which each of them is found.
const CASES: u32 = 400;

fn writes_are_dropped() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        // Not the notes of the trash.
        Effect::Write(_, bytes, _) if bytes.starts_with(b"content") => Ok(Instead::Done),
        _ => Ok(Instead::Go),
    }))
}

fn a_swap_forgets() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::Exchange(from, name, to, other) => {
            renameat(from, name, to, other)?;
            // Something that somebody wrote has to lie there, or it is noticed by that.
            linkat(to, other, from, name, AtFlags::empty())?;
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

fn a_new_name_replaces() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::RenameNew(from, name, to, new_name) => {
            renameat(from, name, to, new_name)?;
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

fn nothing_reaches_the_trash() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::RenameNew(from, name, _, thing) if is_of_the_engine(thing) => {
            unlinkat(from, name, AtFlags::empty())?;
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

fn folders_reach_the_trash_empty() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::RenameNew(from, name, to, thing)
            if is_of_the_engine(thing) && !is_of_the_engine(name) =>
        {
            let about = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
                return Ok(Instead::Go);
            }
            let from = format!("/proc/self/fd/{}", from.as_raw_fd());
            fs::remove_dir_all(Path::new(&from).join(OsStr::from_bytes(name)))?;
            mkdirat(to, thing, Mode::from(0o755))?;
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

fn executables_are_not_set() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::SetExecutable => Ok(Instead::Done),
        _ => Ok(Instead::Go),
    }))
}

fn folders_are_not_made() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        // The engine's own are, but for those that become the user's.
        Effect::MakeFolder(_, name) if name == b"d" || name == b"e" || is_of_the_engine(name) => {
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

fn folders_are_not_removed() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::RemoveFolder => Ok(Instead::Done),
        _ => Ok(Instead::Go),
    }))
}

/// Whether it is a folder that moves from one of the user's places to another.
fn is_move(from: BorrowedFd<'_>, name: &[u8], new_name: &[u8]) -> io::Result<bool> {
    let is_user_s = !is_of_the_engine(name) && !is_of_the_engine(new_name);
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(is_user_s && FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn moves_come_empty() -> Arc<dyn FileSystem> {
    Arc::new(Interpose::new(|effect: Effect<'_>| match effect {
        Effect::RenameNew(from, name, to, new_name) if is_move(from, name, new_name)? => {
            renameat(from, name, to, new_name)?;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let folder = openat(to, new_name, flags, Mode::empty())?;
            for item in Dir::read_from(&folder)? {
                // What is in folders stays, which is wrong enough.
                unlinkat(&folder, item?.file_name(), AtFlags::empty()).ok();
            }
            Ok(Instead::Done)
        }
        _ => Ok(Instead::Go),
    }))
}

/// The same cases every time, which the sound engine lives through (the model's own tests); the broken engine must not live through them.
#[track_caller]
fn must_be_noticed(broken: Broken, by: &str) {
    let runner = || {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let config = proptest::test_runner::Config { max_shrink_iters: 0, ..config(CASES, 1) };
        TestRunner::new_with_rng(config, rng)
    };
    let ran = Cell::new(0);
    let noticed = runner()
        .run(&acts(), |acts| {
            ran.set(ran.get() + 1);
            World::new(Some(broken)).live(&acts);
            Ok(())
        })
        .expect_err("a broken engine passed every case");
    let noticed = noticed.to_string();
    eprintln!("noticed by case {}", ran.get());
    assert!(noticed.contains(by), "noticed by another check than \"{by}\": {noticed}");
}

#[test]
fn dropped_writes_are_noticed() {
    must_be_noticed(writes_are_dropped, "invented at");
}

#[test]
fn a_swap_that_forgets_is_noticed() {
    must_be_noticed(a_swap_forgets, "lost at");
}

#[test]
fn a_name_that_replaces_is_noticed() {
    must_be_noticed(a_new_name_replaces, "lost at");
}

#[test]
fn an_empty_trash_is_noticed() {
    must_be_noticed(nothing_reaches_the_trash, "lost at");
}

#[test]
fn folders_that_reach_the_trash_empty_are_noticed() {
    must_be_noticed(folders_reach_the_trash_empty, "lost at");
}

#[test]
fn a_missing_bit_is_noticed() {
    must_be_noticed(executables_are_not_set, "apart after");
}

#[test]
fn missing_folders_are_noticed() {
    must_be_noticed(folders_are_not_made, "left == right");
}

#[test]
fn folders_that_stay_are_noticed() {
    must_be_noticed(folders_are_not_removed, "apart after");
}

#[test]
fn moves_that_come_empty_are_noticed() {
    must_be_noticed(moves_come_empty, "apart after");
}
