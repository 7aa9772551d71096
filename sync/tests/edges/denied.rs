//! What may not be read or written.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};
use sync::Request;

use crate::common::{Pair, people::held_back, read, tree, write};

fn permit(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_not_be_read_is_skipped_and_stays_where_it_was() {
    for studio in [false, true] {
        let pair = Pair::new();
        write(pair.server("secret"), "known to both");
        write(pair.server("open"), "x");
        pair.sync();
        held_back(pair.folder.path(), || {
            let (here, there) = if studio {
                (pair.studio(""), pair.server(""))
            } else {
                (pair.server(""), pair.studio(""))
            };
            write(here.join("secret"), "edited");
            write(here.join("new"), "never seen");
            write(here.join("open"), "y");
            permit(here.join("secret"), 0o000);
            permit(here.join("new"), 0o000);
            let outcome = pair.sync();
            let mut skipped: Vec<_> =
                outcome.skipped.iter().map(|skipped| skipped.path.to_string()).collect();
            skipped.sort();
            assert_eq!(skipped, ["new", "secret"]);
            assert!(outcome.skipped[0].reason.contains("Permission denied"));
            assert_eq!(read(there.join("secret")), "known to both");
            assert_eq!(read(there.join("open")), "y");
            permit(here.join("secret"), 0o644);
            permit(here.join("new"), 0o644);
            pair.sync();
            assert_eq!(read(there.join("secret")), "edited");
            pair.assert_settled();
        });
    }
}

#[test]
fn a_root_that_may_not_be_written_takes_nothing_and_gives_what_it_has() {
    for studio in [false, true] {
        let pair = Pair::new();
        write(pair.server("old"), "old");
        write(pair.server("gone"), "gone");
        pair.sync();
        held_back(pair.folder.path(), || {
            let (closed, open) = if studio {
                (pair.studio(""), pair.server(""))
            } else {
                (pair.server(""), pair.studio(""))
            };
            write(open.join("new"), "new");
            write(open.join("old"), "edited");
            fs::remove_file(open.join("gone")).unwrap();
            write(closed.join("mine"), "mine");
            permit(&closed, 0o555);
            let before = tree(&closed);
            for _ in 0..2 {
                let outcome = pair.sync();
                assert_eq!(outcome.skipped.len(), 3, "{:?}", outcome.skipped);
                assert_eq!(tree(&closed), before);
                assert_eq!(read(open.join("mine")), "mine");
                assert_eq!(read(open.join("old")), "edited");
                assert_eq!(read(open.join("new")), "new");
                assert!(!open.join("gone").exists());
            }
            permit(&closed, 0o755);
            pair.sync();
            assert_eq!(read(closed.join("old")), "edited");
            pair.assert_settled();
        });
    }
}

/// A mount that the kernel holds read-only, where the machine lets us make one.
#[test]
fn a_mount_that_is_read_only_ends_the_run_with_a_word_and_loses_nothing() {
    for studio in [false, true] {
        let pair = Pair::new();
        write(pair.server("old"), "old");
        pair.sync();
        let (closed, open) = if studio {
            (pair.studio(""), pair.server(""))
        } else {
            (pair.server(""), pair.studio(""))
        };
        if mount_bind(&closed, &closed).is_err() {
            println!("skipped: only root can mount");
            return;
        }
        write(open.join("old"), "edited");
        write(closed.join("mine"), "mine");
        mount_remount(&closed, MountFlags::BIND | MountFlags::RDONLY, "").unwrap();
        let (before_closed, before_open) = (tree(&closed), tree(&open));
        let (outcome, served) = pair.try_sync(&Request::default());
        let error = match (outcome, served) {
            (Err(error), Ok(())) | (Ok(_), Err(error)) => error.chain(),
            (Err(server), Err(served)) => format!("{} {}", server.chain(), served.chain()),
            (Ok(_), Ok(())) => panic!("a read-only side, and not a word"),
        };
        let lower = error.to_lowercase();
        assert!(lower.contains("read-only"), "{error}");
        assert_eq!((tree(&closed), tree(&open)), (before_closed, before_open));
        unmount(&closed, UnmountFlags::DETACH).unwrap();
        pair.sync();
        assert_eq!(read(closed.join("old")), "edited");
        pair.assert_settled();
    }
}
