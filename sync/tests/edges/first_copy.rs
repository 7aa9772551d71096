//! A first copy into an empty folder: sent and recorded batch by batch, its files read only when they are sent.

use std::{
    fs, io,
    os::unix::net::UnixListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sync::{OnMassDeletion, Request};

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

/// So many that the last ones are not read yet when the first one is written.
const MANY: usize = 3_000;

#[test]
fn files_that_change_after_they_were_met_arrive_as_they_are() {
    let mut pair = Pair::in_memory();
    let name = |number: usize| format!("folder/{number:04}");
    for number in 0..MANY {
        write(pair.server(&name(number)), crate::common::noise(10_000, number as u64));
    }
    let files: Vec<_> = (0..6).map(|behind| pair.server(&name(MANY - 1 - behind))).collect();
    let is_write = |effect: &Effect<'_>| matches!(effect, Effect::Write(..));
    pair.studio_fs = Some(at(1, is_write, move || {
        write(&files[1], "longer than it was".repeat(1_000));
        write(&files[2], "shorter");
        fs::remove_file(&files[3]).unwrap();
        fs::remove_file(&files[4]).unwrap();
        link("0001", &files[4]);
        write(&files[5], crate::common::noise(100_000, 2));
    }));
    let outcome = pair.sync();
    pair.studio_fs = None;
    let there = |behind: usize| pair.studio(&name(MANY - 1 - behind));
    assert_eq!(read(there(1)).len(), 18_000);
    assert_eq!(read(there(2)), "shorter");
    assert!(!there(3).exists());
    assert_eq!(fs::read(there(5)).unwrap().len(), 100_000);
    let skipped: Vec<_> = outcome.skipped.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(skipped, [name(MANY - 5), name(MANY - 4)]);
    assert_eq!(outcome.stats.server_entries, MANY as u64 + 1);
    pair.sync();
    pair.assert_settled();
    assert_eq!(fs::read_link(there(4)).unwrap().to_str(), Some("0001"));
}

/// A zone of several batches, and what there is besides files.
#[test]
fn batch_after_batch_comes_to_the_same() {
    let mut pair = Pair::in_memory();
    pair.exclusions = vec!["*.tmp".to_owned()];
    for number in 0..20_000 {
        write(
            pair.server(&format!("{}/{}/{number}", number % 3, number % 50)),
            format!("{number}"),
        );
    }
    for path in ["empty", "0/in/empty"] {
        fs::create_dir_all(pair.server(path)).unwrap();
    }
    link("nowhere", pair.server("1/link"));
    write(pair.server("2/left.tmp"), "nobody's business");
    write(pair.server("2/large"), crate::common::noise(300_000, 1));
    drop(UnixListener::bind(pair.server("1/socket")).unwrap());
    let outcome = pair.sync();
    let skipped: Vec<_> =
        outcome.skipped.iter().map(|it| (it.path.to_string(), it.special)).collect();
    assert_eq!(skipped, [("1/socket".to_owned(), true)]);
    assert!(!pair.studio("2/left.tmp").exists() && pair.studio("0/in/empty").is_dir());
    assert_eq!(outcome.studio_changes.len() as u64, outcome.stats.server_entries);
    fs::remove_file(pair.server("1/socket")).unwrap();
    fs::remove_file(pair.server("2/left.tmp")).unwrap();
    // Both remember the same: a word is enough, and what goes is deleted.
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received + outcome.stats.bytes_sent < 300, "{:?}", outcome.stats);
    fs::remove_dir_all(pair.studio("2/7")).unwrap();
    write(pair.studio("1/1/1"), "edited");
    pair.sync();
    assert!(!pair.server("2/7").exists());
    assert_eq!(read(pair.server("1/1/1")), "edited");
    pair.assert_settled();
}

/// A studio that was started on an empty zone.
#[test]
fn a_zone_that_was_empty_is_filled() {
    let pair = Pair::in_memory();
    pair.sync();
    pair.sync();
    for number in 0..9_000 {
        write(pair.server(&format!("{}/{number}", number % 50)), format!("{number}"));
    }
    let outcome = pair.sync();
    assert_eq!(outcome.studio_changes.len(), 9_050);
    assert_eq!(outcome.stats.server_entries, 9_050);
    pair.assert_settled();
    // Everything goes again, and other things come.
    for number in 0..50 {
        fs::remove_dir_all(pair.studio(&number.to_string())).unwrap();
    }
    let allow = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
    pair.try_sync(&allow).0.unwrap();
    write(pair.server("other"), "other");
    pair.sync();
    assert_eq!(read(pair.studio("other")), "other");
    write(pair.studio("other"), "edited");
    pair.sync();
    assert_eq!(read(pair.server("other")), "edited");
    pair.assert_settled();
}

/// What came before is there, and only the rest comes again; nothing that was recorded counts.
#[test]
fn broken_off_in_the_middle_it_goes_on() {
    let mut pair = Pair::in_memory();
    for number in 0..20_000 {
        write(pair.server(&format!("{}/{number}", number % 50)), format!("{number}"));
    }
    pair.server_mishap.cut_after = Some(4);
    assert!(pair.try_sync(&Request::default()).0.is_err());
    let came = walk(&pair.studio("")).len();
    assert!((1..20_050).contains(&came), "{came}");
    // Of what is agreed on nothing is known: so nothing that goes now is deleted on the other side.
    let gone = walk(&pair.studio("")).into_iter().find(|path| path.is_file()).unwrap();
    fs::remove_file(&gone).unwrap();
    pair.server_mishap.cut_after = None;
    pair.sync();
    assert!(gone.exists());
    assert_eq!(walk(&pair.studio("")).len(), 20_050);
    pair.assert_settled();
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        }
        all.push(path);
    }
    all
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
