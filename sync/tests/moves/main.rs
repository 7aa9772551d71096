//! Folders that moved, or are gone, as a whole.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod unclean;
mod whole;

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use common::{Pair, write};
use sync::{Change, ChangeKind, Outcome, RelPath};

fn path(text: &str) -> RelPath {
    RelPath::try_from(text).unwrap()
}

/// A pair that agreed on a folder `a` with `files` files of 3 KB, and on some others beside it.
fn agreed(files: u64) -> Pair {
    let pair = Pair::new();
    fill(&pair, files);
    pair
}

fn fill(pair: &Pair, files: u64) {
    for number in 0..files {
        let name = format!("a/{}/file-{number}", number % 10);
        write(pair.server(&name), common::noise(3_000, number));
    }
    for name in ["beside", "x/y", "other/z"] {
        write(pair.server(name), name);
    }
    pair.sync();
}

fn bytes(outcome: &Outcome) -> u64 {
    outcome.stats.bytes_sent + outcome.stats.bytes_received
}

fn moved(from: &str, to: &str) -> Change {
    Change { path: path(to), from: Some(path(from)), kind: ChangeKind::Moved, is_folder: true }
}

fn inode(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).unwrap().ino()
}
