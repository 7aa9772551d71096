//! A folder that is done while something in it is not.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use sync::{Fault, FaultyFileSystem, Request};

use crate::common::{Pair, noise, people, read, tree, write};

/// Were the folder marked as agreed with its failed children, the next run would take them for deleted.
#[test]
fn unison_1208_a_failed_child_is_tried_again_and_not_deleted() {
    for studio in [false, true] {
        for effects in 0..40 {
            let mut pair = Pair::new();
            let sender = if studio { pair.server("") } else { pair.studio("") };
            for number in 0..6 {
                write(sender.join(format!("parent/child/{number}")), noise(20_000, number));
            }
            let before = tree(&sender);
            let full = Arc::new(FaultyFileSystem::new(Fault::DiskFull, effects));
            if studio {
                pair.studio_fs = Some(full);
            } else {
                pair.server_fs = Some(full);
            }
            let (outcome, _) = pair.try_sync(&Request::default());
            (pair.studio_fs, pair.server_fs) = (None, None);
            let receiver = if studio { pair.studio("") } else { pair.server("") };
            if let Ok(outcome) = outcome {
                let missing = before.len() - tree(&receiver).len();
                assert!(missing == 0 || !outcome.skipped.is_empty(), "{missing} silently missing");
            }
            pair.sync();
            assert_eq!(tree(&sender), before, "full after {effects}");
            assert_eq!(tree(&receiver), before, "full after {effects}");
            pair.assert_settled();
        }
    }
}

/// The same where one child's folder may not be written.
#[test]
fn unison_1208_a_child_that_may_not_be_written_comes_once_it_may() {
    for studio in [false, true] {
        let pair = Pair::new();
        write(pair.server("parent/child/old"), "old");
        write(pair.server("parent/else/old"), "old too");
        pair.sync();
        let (sender, receiver) = if studio {
            (pair.server(""), pair.studio(""))
        } else {
            (pair.studio(""), pair.server(""))
        };
        people::held_back(pair.folder.path(), || {
            write(sender.join("parent/child/new"), "new");
            write(sender.join("parent/child/old"), "edited");
            write(sender.join("parent/else/new"), "new too");
            let closed = receiver.join("parent/child");
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
            for _ in 0..2 {
                let outcome = pair.sync();
                let mut paths: Vec<_> =
                    outcome.skipped.iter().map(|skipped| skipped.path.to_string()).collect();
                paths.sort();
                assert_eq!(paths, ["parent/child/new", "parent/child/old"]);
                assert_eq!(read(closed.join("old")), "old");
                assert_eq!(read(receiver.join("parent/else/new")), "new too");
                assert_eq!(read(sender.join("parent/child/new")), "new");
            }
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
            pair.sync();
            assert_eq!(read(closed.join("old")), "edited");
            pair.assert_settled();
        });
    }
}
