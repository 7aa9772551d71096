//! Names that differ in the case of their letters only.

use std::{
    fs::{self, File},
    io,
    os::fd::BorrowedFd,
    sync::Arc,
    time::Duration,
};

use rustix::fs::Dir;
use sync::{FileSystem, RealFileSystem};

use crate::common::{Pair, read, tree, write};

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

/// A file system that takes a name for taken when it differs in case only.
#[derive(Debug)]
struct CaseBlind;

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

impl FileSystem for CaseBlind {
    fn create(&self, folder: BorrowedFd<'_>, name: &[u8], executable: bool) -> io::Result<File> {
        free(folder, name)?;
        RealFileSystem.create(folder, name, executable)
    }
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        RealFileSystem.write(file, bytes, offset)
    }
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        RealFileSystem.set_len(file, len)
    }
    fn set_executable(&self, file: &File, executable: bool) -> io::Result<()> {
        RealFileSystem.set_executable(file, executable)
    }
    fn set_modified(&self, file: &File, modified: Duration) -> io::Result<()> {
        RealFileSystem.set_modified(file, modified)
    }
    fn sync_file(&self, file: &File) -> io::Result<()> {
        RealFileSystem.sync_file(file)
    }
    fn sync_folder(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        RealFileSystem.sync_folder(folder)
    }
    fn sync_all(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        RealFileSystem.sync_all(folder)
    }
    fn make_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        free(folder, name)?;
        RealFileSystem.make_folder(folder, name)
    }
    fn remove_folder(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        RealFileSystem.remove_folder(folder, name)
    }
    fn make_link(&self, folder: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        free(folder, name)?;
        RealFileSystem.make_link(folder, name, target)
    }
    fn remove_file(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        RealFileSystem.remove_file(folder, name)
    }
    fn rename_new(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        new_name: &[u8],
    ) -> io::Result<()> {
        free(to, new_name)?;
        RealFileSystem.rename_new(from, name, to, new_name)
    }
    fn exchange(
        &self,
        from: BorrowedFd<'_>,
        name: &[u8],
        to: BorrowedFd<'_>,
        other: &[u8],
    ) -> io::Result<()> {
        RealFileSystem.exchange(from, name, to, other)
    }
    fn record(&self) -> io::Result<()> {
        RealFileSystem.record()
    }
}

/// The one that has no room is named as skipped, run after run, and stays where it is; the other lives on.
#[test]
fn a_side_that_has_room_for_one_of_two_names_loses_neither() {
    let mut pair = Pair::new();
    pair.studio_fs = Some(Arc::new(CaseBlind));
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
