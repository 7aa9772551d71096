//! Very many entries in one folder: 20,000; `ATELIER_LONG=1`: a million.

use std::fs::{self, File};

use crate::common::{Pair, is_long, read, write};

#[test]
fn a_folder_of_very_many_entries_lives_as_others_do() {
    let many = if is_long() { 1_000_000 } else { 20_000 };
    let pair = Pair::new();
    fs::create_dir(pair.studio("all")).unwrap();
    for number in 0..many {
        File::create_new(pair.studio(&format!("all/{number:07}"))).unwrap();
    }
    pair.sync();
    let count = |root: std::path::PathBuf| fs::read_dir(root).unwrap().count();
    assert_eq!(count(pair.server("all")), many);
    // Nothing changed, one edit, one deletion, one more.
    let outcome = pair.sync();
    let bytes = outcome.stats.bytes_sent + outcome.stats.bytes_received;
    assert!(bytes < 1_000, "{bytes} bytes for nothing");
    write(pair.server("all/0000007"), "edited");
    fs::remove_file(pair.studio("all/0000008")).unwrap();
    write(pair.studio("all/more"), "more");
    let outcome = pair.sync();
    assert_eq!(outcome.server_changes.len() + outcome.studio_changes.len(), 3);
    assert_eq!(read(pair.studio("all/0000007")), "edited");
    assert!(!pair.server("all/0000008").exists());
    assert_eq!(count(pair.server("all")), many);
    // The folder is renamed.
    fs::rename(pair.studio("all"), pair.studio("moved")).unwrap();
    let outcome = pair.sync();
    assert!(outcome.questions.is_empty(), "what moved is not lost");
    assert_eq!(count(pair.server("moved")), many);
    assert!(!pair.server("all").exists());
}
