//! Names and paths as long and as odd as they can be.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::PathBuf};

use crate::common::{Pair, read, tree, write};

/// 255 bytes, none of them text.
fn odd_name() -> PathBuf {
    let bytes: Vec<u8> =
        (0..255).map(|number| [0xff, b'\n', 0xc3, b'\\', b' ', 0x01, b'"'][number % 7]).collect();
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// Everything that can happen to a file happens to one whose name has 255 bytes that are no text.
#[test]
fn names_of_255_bytes_that_are_no_text_live_as_others_do() {
    let pair = Pair::new();
    let name = odd_name();
    let (server, studio) = (pair.server("").join(&name), pair.studio("").join(&name));
    write(&server, "made");
    write(pair.server("other"), "x");
    pair.sync();
    assert_eq!(read(&studio), "made");
    write(&studio, "edited");
    pair.sync();
    assert_eq!(read(&server), "edited");
    write(&server, "server's");
    write(&studio, "studio's");
    assert_eq!(pair.sync().conflicts.len(), 1);
    pair.sync_keeping_both();
    pair.assert_has("server's");
    pair.assert_has("studio's");
    pair.assert_settled();
    assert_eq!(tree(&pair.server("")).len(), 3);
    fs::remove_file(&server).unwrap();
    pair.sync();
    assert!(!studio.exists());
    assert!(pair.studio_trash().contains(&b"server's".to_vec()));
    // A folder with that name, with one in it.
    write(studio.join(&name).join("inside"), "deep");
    pair.sync();
    assert_eq!(read(server.join(&name).join("inside")), "deep");
    pair.assert_settled();
}

/// `levels` folders within each other, a file in the innermost.
fn deep(levels: usize, name_bytes: usize) -> PathBuf {
    let mut path: PathBuf = (0..levels).map(|level| format!("{level:0name_bytes$}")).collect();
    path.push("file");
    path
}

#[test]
fn paths_of_4000_bytes_live_as_others_do() {
    let pair = Pair::in_memory();
    // An absolute path must still let the test reach it, and the name of a conflict copy.
    let path = deep(20, 199);
    assert!(path.as_os_str().len() > 4_000, "{}", path.as_os_str().len());
    let (server, studio) = (pair.server("").join(&path), pair.studio("").join(&path));
    write(&studio, "made");
    write(pair.server("other"), "x");
    pair.sync();
    assert_eq!(read(&server), "made");
    write(&server, "edited");
    pair.sync();
    assert_eq!(read(&studio), "edited");
    write(&server, "server's");
    write(&studio, "studio's");
    pair.sync_keeping_both();
    pair.assert_has("server's");
    pair.assert_has("studio's");
    pair.assert_settled();
    fs::remove_dir_all(pair.server("").join(format!("{:0199}", 0))).unwrap();
    pair.sync();
    assert_eq!(tree(&pair.studio("")).len(), 1);
    pair.assert_settled();
}

/// A folder that is moved into another makes paths that no call can name: they are not gone.
#[test]
fn paths_that_are_too_long_are_skipped_and_deleted_nowhere() {
    let pair = Pair::new();
    write(pair.studio("a").join(deep(10, 205)), "first");
    write(pair.studio("b").join(deep(10, 205)), "second");
    pair.sync();
    let inner = pair.studio("a").join(deep(10, 205)).with_file_name("b");
    fs::rename(pair.studio("b"), &inner).unwrap();
    for _ in 0..2 {
        let outcome = pair.sync();
        let skipped = &outcome.skipped;
        assert!(skipped.iter().any(|it| it.reason.contains("more than 4095")), "{skipped:?}");
        assert_eq!(read(pair.server("a").join(deep(10, 205))), "first");
        assert_eq!(pair.trash(), [b"second"], "moved away by its owner, and to be had back");
    }
    // Back where it was.
    fs::rename(&inner, pair.studio("b")).unwrap();
    pair.sync();
    pair.sync();
    assert_eq!(read(pair.server("b").join(deep(10, 205))), "second");
    pair.assert_settled();
}

/// Deeper than the engine goes: named as skipped, and what is agreed stays.
#[test]
fn folders_too_deep_are_skipped_and_deleted_nowhere() {
    let pair = Pair::new();
    write(pair.studio("").join(deep(500, 1)), "deep");
    pair.sync();
    assert_eq!(read(pair.server("").join(deep(500, 1))), "deep");
    fs::create_dir(pair.studio("further")).unwrap();
    let deeper = deep(500, 1);
    let mut at = pair.studio("").join(deeper.parent().unwrap());
    for _ in 0..30 {
        at.push("x");
        fs::create_dir(&at).unwrap();
    }
    write(at.join("file"), "too deep");
    let outcome = pair.sync();
    assert!(outcome.skipped.iter().any(|it| it.reason.contains("512 folders deep")));
    assert!(outcome.server_changes.iter().all(|it| it.kind != sync::ChangeKind::Deleted));
    assert_eq!(read(at.join("file")), "too deep");
    assert_eq!(read(pair.server("").join(deep(500, 1))), "deep");
}
