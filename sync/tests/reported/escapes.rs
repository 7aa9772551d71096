//! Copies that end early without a word, and copies that land outside.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use sync::Request;

use crate::common::{Mishap, Pair, noise, read, tree, write};

/// A copy whose connection ends is an error, and what is there is whole.
#[test]
fn kubernetes_60140_a_copy_is_never_truncated() {
    let content = noise(2_500_000, 3);
    for server_sends in [false, true] {
        let mut completed = false;
        for messages in 0..40 {
            let mut pair = Pair::new();
            let mishap = Mishap { cut_after: Some(messages), ..Mishap::default() };
            if server_sends {
                write(pair.server("large"), &content);
                pair.server_mishap = mishap;
            } else {
                write(pair.studio("large"), &content);
                pair.studio_mishap = mishap;
            }
            let (outcome, _) = pair.try_sync(&Request::default());
            let copy = if server_sends { pair.studio("large") } else { pair.server("large") };
            let there = fs::read(&copy).ok();
            assert!(there.is_none() || there.as_deref() == Some(&content), "cut after {messages}");
            match outcome {
                Ok(_) => {
                    assert!(there.is_some(), "cut after {messages}: success without the file");
                    completed = true;
                    break;
                }
                Err(error) => assert!(!error.chain().is_empty()),
            }
        }
        assert!(completed, "with enough messages it must end well");
    }
}

struct Outside {
    pair: Pair,
    folder: PathBuf,
}

impl Outside {
    fn new() -> Self {
        let pair = Pair::new();
        let folder = pair.folder.path().join("outside");
        write(folder.join("f"), "precious");
        Self { pair, folder }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(tree(&self.folder).len(), 1);
        assert_eq!(read(self.folder.join("f")), "precious");
    }
}

/// A link that the receiver has, and a folder of the same name that comes.
#[test]
fn kubernetes_87773_nothing_is_written_through_a_link_that_is_there() {
    for studio in [false, true] {
        let world = Outside::new();
        let (pair, outside) = (&world.pair, &world.folder);
        let (receiver, sender) = if studio {
            (pair.studio(""), pair.server(""))
        } else {
            (pair.server(""), pair.studio(""))
        };
        symlink(outside, receiver.join("way")).unwrap();
        write(sender.join("way/f"), "from the other side");
        write(sender.join("way/deep/g"), "from the other side");
        pair.sync();
        world.assert_untouched();
        pair.sync_keeping_both();
        pair.sync_keeping_both();
        world.assert_untouched();
        assert_eq!(read(sender.join("way/f")), "from the other side");
        pair.assert_settled();
    }
}

/// A link comes, and in the next run files below it; or both are there at once.
#[test]
fn kubernetes_80984_nothing_is_written_through_a_link_that_came() {
    for studio in [false, true] {
        let world = Outside::new();
        let (pair, outside) = (&world.pair, &world.folder);
        let (receiver, sender) = if studio {
            (pair.studio(""), pair.server(""))
        } else {
            (pair.server(""), pair.studio(""))
        };
        symlink(outside, sender.join("way")).unwrap();
        symlink("way", sender.join("way-to-the-way")).unwrap();
        pair.sync();
        assert_eq!(fs::read_link(receiver.join("way")).unwrap(), *outside, "as text, unfollowed");
        // The link becomes a folder.
        fs::remove_file(sender.join("way")).unwrap();
        write(sender.join("way/f"), "inside");
        pair.sync();
        world.assert_untouched();
        assert_eq!(read(receiver.join("way/f")), "inside");
        // The folder becomes a link, while the other side edits what is in it.
        fs::remove_dir_all(sender.join("way")).unwrap();
        symlink(outside, sender.join("way")).unwrap();
        write(receiver.join("way/f"), "edited");
        pair.sync();
        pair.sync_keeping_both();
        pair.sync_keeping_both();
        world.assert_untouched();
        pair.assert_has("edited");
        pair.assert_settled();
    }
}
