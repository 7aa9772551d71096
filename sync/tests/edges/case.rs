//! Names that differ in the case of their letters only.

use std::{fs, io, os::fd::BorrowedFd, sync::Arc};

use rustix::fs::Dir;
use sync::FileSystem;

use crate::common::{
    Pair,
    interpose::{Effect, Instead, Interpose},
    read, tree, write,
};

#[test]
fn names_that_differ_in_case_are_two_names() {
    let pair = Pair::new();
    for (name, content) in
        [("Readme", "one"), ("README", "two"), ("dir/x", "three"), ("DIR/x", "four")]
    {
        write(pair.server(name), content);
    }
    pair.sync();
    assert_eq!(tree(&pair.studio("")).len(), 6);
    write(pair.studio("README"), "two edited");
    fs::remove_file(pair.studio("Readme")).unwrap();
    fs::rename(pair.studio("dir"), pair.studio("Dir")).unwrap();
    pair.sync();
    assert_eq!(read(pair.server("README")), "two edited");
    assert!(!pair.server("Readme").exists() && !pair.server("dir").exists());
    assert_eq!(read(pair.server("Dir/x")), "three");
    // Only the case of one name changes.
    fs::rename(pair.studio("README"), pair.studio("readme")).unwrap();
    pair.sync();
    assert_eq!(read(pair.server("readme")), "two edited");
    assert!(!pair.server("README").exists());
    pair.assert_settled();
}

fn is_taken(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    for item in Dir::read_from(folder)? {
        let item = item?;
        let there = item.file_name().to_bytes();
        if there != name && there.eq_ignore_ascii_case(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn free(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    if is_taken(folder, name)? { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
}

/// A file system that takes a name for taken when it differs in case only.
fn case_blind() -> impl FileSystem {
    Interpose::new(|effect: Effect<'_>| {
        match effect {
            Effect::Create(folder, name)
            | Effect::MakeFolder(folder, name)
            | Effect::MakeLink(folder, name)
            | Effect::RenameNew(_, _, folder, name) => free(folder, name)?,
            _ => {}
        }
        Ok(Instead::Go)
    })
}

/// The one that has no room is named as skipped, run after run, and stays where it is; the other lives on.
#[test]
fn a_side_that_has_room_for_one_of_two_names_loses_neither() {
    let mut pair = Pair::new();
    pair.studio_fs = Some(Arc::new(case_blind()));
    for (name, content) in
        [("README", "one"), ("Readme", "two"), ("DIR/x", "three"), ("dir/y", "four")]
    {
        write(pair.server(name), content);
    }
    let before = tree(&pair.server(""));
    for round in 0..3 {
        let outcome = pair.sync();
        assert!(outcome.server_changes.is_empty(), "{round}: {:?}", outcome.server_changes);
        assert_eq!(tree(&pair.server("")), before, "{round}");
        let skipped: Vec<_> = outcome.skipped.iter().map(|it| it.path.to_string()).collect();
        assert!(skipped.contains(&"Readme".to_owned()), "{round}: {skipped:?}");
        assert_eq!(read(pair.studio("README")), "one");
        assert_eq!(read(pair.studio("DIR/x")), "three");
    }
    write(pair.studio("README"), "one edited");
    pair.sync();
    assert_eq!(read(pair.server("README")), "one edited");
    assert_eq!(read(pair.server("Readme")), "two");
    // One of them gets another name, and everything has room.
    fs::rename(pair.server("Readme"), pair.server("Readme-2")).unwrap();
    fs::rename(pair.server("dir"), pair.server("dir-2")).unwrap();
    pair.sync();
    assert_eq!(read(pair.studio("Readme-2")), "two");
    assert_eq!(read(pair.studio("dir-2/y")), "four");
    pair.assert_settled();
}
