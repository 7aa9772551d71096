//! A first copy into an empty folder, whose files are read only when they are sent, while something comes between.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::common::{
    Pair,
    interpose::{Effect, Instead, Interpose},
    link, read, write,
};

/// Does something before the effect of that number, of those that are meant.
fn at<F: Fn() + Send + Sync + 'static>(
    number: usize,
    is_meant: impl Fn(&Effect<'_>) -> bool + Send + Sync + 'static,
    deed: F,
) -> Arc<dyn sync::FileSystem> {
    let count = AtomicUsize::new(0);
    Arc::new(Interpose::new(move |effect: Effect<'_>| -> io::Result<Instead> {
        if is_meant(&effect) && count.fetch_add(1, Ordering::SeqCst) + 1 == number {
            deed();
        }
        Ok(Instead::Go)
    }))
}

fn prepare() -> Pair {
    let pair = Pair::new();
    for number in 0..40 {
        write(pair.server(&format!("folder/{number}")), format!("file {number}"));
    }
    write(pair.server("folder/large"), crate::common::noise(200_000, 1));
    pair
}

#[test]
fn files_that_change_after_the_look_arrive_as_they_are() {
    let mut pair = prepare();
    let folder = pair.server("folder");
    // The root's name is recorded first, then what the look learned of folders.
    let is_record = |effect: &Effect<'_>| matches!(effect, Effect::Record);
    pair.server_fs = Some(at(2, is_record, move || {
        write(folder.join("1"), "longer than it was");
        write(folder.join("2"), "FILE 2");
        fs::remove_file(folder.join("3")).unwrap();
        fs::remove_file(folder.join("4")).unwrap();
        link("1", folder.join("4"));
        write(folder.join("5"), crate::common::noise(100_000, 2));
    }));
    let outcome = pair.sync();
    assert_eq!(read(pair.studio("folder/1")), "longer than it was");
    assert_eq!(read(pair.studio("folder/2")), "FILE 2");
    assert!(!pair.studio("folder/3").exists());
    assert_eq!(fs::read(pair.studio("folder/5")).unwrap().len(), 100_000);
    let skipped: Vec<_> = outcome.skipped.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(skipped, ["folder/3", "folder/4"]);
    pair.server_fs = None;
    pair.sync();
    pair.assert_settled();
    assert_eq!(fs::read_link(pair.studio("folder/4")).unwrap().to_str(), Some("1"));
}

#[test]
fn a_folder_that_is_not_empty_any_more_is_compared() {
    let mut pair = prepare();
    let folder = pair.studio("folder");
    // The look begins by asking for the time, after it was said that nothing is there.
    let is_create = |effect: &Effect<'_>| matches!(effect, Effect::Create(..));
    pair.studio_fs = Some(at(1, is_create, move || {
        write(folder.join("1"), "file 1");
        write(folder.join("2"), "the studio's");
        write(folder.join("mine"), "mine");
    }));
    let outcome = pair.sync();
    let conflicts: Vec<_> = outcome.conflicts.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(conflicts, ["folder/2"]);
    let changes: Vec<_> = outcome.studio_changes.iter().map(|it| it.path.to_string()).collect();
    assert!(!changes.contains(&"folder/1".to_owned()), "it was there already");
    assert_eq!(changes.len(), 39, "{changes:?}");
    assert_eq!(read(pair.server("folder/mine")), "mine");
    pair.assert_has("the studio's");
    pair.assert_has("file 2");
}

#[test]
fn what_was_sent_is_agreed_and_known() {
    let pair = prepare();
    pair.sync();
    write(pair.studio("folder/1"), "edited");
    fs::remove_file(pair.studio("folder/2")).unwrap();
    write(pair.server("folder/3"), "edited too");
    pair.sync();
    assert_eq!(read(pair.server("folder/1")), "edited");
    assert!(!pair.server("folder/2").exists());
    assert_eq!(read(pair.studio("folder/3")), "edited too");
    pair.assert_settled();
}
