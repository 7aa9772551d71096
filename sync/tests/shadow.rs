//! Copies of what a studio has and its zone lacks.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{Pair, link, noise, set_executable, tree, write};
use sync::{
    Direction, Entry, Fault, FaultyFileSystem, Outcome, Request,
    shadow::{self, Kept, Shadow},
};

fn folder(pair: &Pair) -> PathBuf {
    pair.server("").parent().unwrap().join("shadow/1")
}

fn looking(pair: &Pair, limit_bytes: u64) -> Request {
    let shadow = Some(Shadow { folder: folder(pair), limit_bytes });
    Request { direction: Direction::Check, shadow, ..Request::default() }
}

fn look(pair: &Pair, limit_bytes: u64) -> Outcome {
    pair.sync_with(&looking(pair, limit_bytes))
}

fn kept(folder: &Path) -> BTreeMap<String, Kept> {
    let kept = shadow::kept(folder).unwrap().into_iter();
    kept.map(|kept| (kept.path.to_string(), kept)).collect()
}

/// What a copy of a file has.
fn content(folder: &Path, kept: &Kept) -> Option<Vec<u8>> {
    let mut file = shadow::content(folder, kept.entry.digest().unwrap()).unwrap()?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    Some(content)
}

/// Contents that lie there, beside the index.
fn objects(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count() - 1
}

const ALL: u64 = u64::MAX;

#[test]
fn what_the_studio_alone_has_is_kept_and_the_zone_is_not_touched() {
    let pair = Pair::new();
    for name in ["same", "edited", "run.sh", "theirs", "both"] {
        write(pair.server(name), format!("{name} before"));
    }
    pair.sync();
    write(pair.studio("edited"), "edited now");
    write(pair.studio("deep/new"), "new");
    set_executable(pair.studio("run.sh"), true);
    link("elsewhere", pair.studio("link"));
    write(pair.server("theirs"), "of the zone");
    write(pair.studio("both"), "of the studio");
    write(pair.server("both"), "of the zone");
    let (server, studio) = (tree(&pair.server("")), tree(&pair.studio("")));
    look(&pair, ALL);
    assert_eq!((tree(&pair.server("")), tree(&pair.studio(""))), (server, studio));
    let folder = folder(&pair);
    let all = kept(&folder);
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["both", "deep", "deep/new", "edited", "link", "run.sh"]);
    for (name, text) in [
        ("both", "of the studio"),
        ("deep/new", "new"),
        ("edited", "edited now"),
        ("run.sh", "run.sh before"),
    ] {
        assert_eq!(content(&folder, &all[name]).unwrap(), text.as_bytes(), "{name}");
    }
    assert!(matches!(all["run.sh"].entry, Entry::File { executable: true, .. }));
    assert!(matches!(all["run.sh"].base, Some(Entry::File { executable: false, .. })));
    assert_eq!(all["link"].entry, Entry::Link { target: (*b"elsewhere").into() });
    assert_eq!((&all["deep/new"].base, objects(&folder)), (&None, 4));
}

#[test]
fn copies_follow_the_studio_and_go_with_a_synchronisation() {
    let pair = Pair::new();
    pair.sync();
    let folder = folder(&pair);
    for text in ["one", "two", "three"] {
        write(pair.studio("file"), text);
        look(&pair, ALL);
        assert_eq!(content(&folder, &kept(&folder)["file"]).unwrap(), text.as_bytes());
        assert_eq!(objects(&folder), 1, "what is old is gone");
    }
    fs::remove_file(pair.studio("file")).unwrap();
    look(&pair, ALL);
    assert_eq!((kept(&folder).len(), objects(&folder)), (0, 0));
    write(pair.studio("file"), "four");
    look(&pair, ALL);
    pair.sync();
    look(&pair, ALL);
    assert_eq!((kept(&folder).len(), objects(&folder)), (0, 0));
    pair.assert_settled();
}

#[test]
fn of_a_large_file_only_what_changed_travels_and_only_once() {
    let pair = Pair::new();
    let mut large = noise(8_000_000, 7);
    write(pair.server("large"), &large);
    pair.sync();
    large[5_000_000] ^= 1;
    write(pair.studio("large"), &large);
    let outcome = look(&pair, ALL);
    assert!(outcome.stats.bytes_received < 400_000, "{}", outcome.stats.bytes_received);
    let folder = folder(&pair);
    assert!(content(&folder, &kept(&folder)["large"]).unwrap() == large);
    let again = look(&pair, ALL);
    assert!(again.stats.bytes_received < 1000, "{}", again.stats.bytes_received);
    assert!(content(&folder, &kept(&folder)["large"]).unwrap() == large);
    pair.sync();
    pair.assert_settled();
}

#[test]
fn what_is_too_much_is_named_and_the_rest_is_kept() {
    let pair = Pair::new();
    pair.sync();
    write(pair.studio("a-large"), noise(100_000, 1));
    write(pair.studio("b-small"), "small");
    let outcome = look(&pair, 50_000);
    let skipped: Vec<String> = outcome.skipped.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(skipped, ["a-large"]);
    let folder = folder(&pair);
    assert_eq!(kept(&folder).keys().collect::<Vec<_>>(), ["b-small"]);
}

#[test]
fn a_copy_that_is_damaged_is_none() {
    let pair = Pair::new();
    pair.sync();
    assert_eq!(shadow::kept(&folder(&pair)).unwrap(), [], "there is no folder yet");
    write(pair.studio("file"), "text");
    look(&pair, ALL);
    let folder = folder(&pair);
    let file = kept(&folder).remove("file").unwrap();
    let object = folder.join(file.entry.digest().unwrap().to_string());
    write(&object, "tex");
    assert_eq!(content(&folder, &file), None);
    fs::remove_file(object).unwrap();
    assert_eq!(content(&folder, &file), None);
}

/// Whatever a run that broke off left of a content, the next one does not take it for the whole.
#[test]
fn a_copy_that_was_cut_short_is_made_again() {
    for fault in [Fault::Killed, Fault::DiskFull] {
        for effects in 0..12 {
            let mut pair = Pair::new();
            pair.sync();
            write(pair.studio("file"), "a whole text");
            write(pair.studio("large"), noise(100_000, 1));
            pair.server_fs = Some(Arc::new(FaultyFileSystem::new(fault, effects)));
            let request = looking(&pair, ALL);
            pair.try_sync(&request).0.ok();
            pair.server_fs = None;
            look(&pair, ALL);
            let folder = folder(&pair);
            let kept = kept(&folder);
            let when = format!("{fault:?} after {effects} effects");
            let file = content(&folder, &kept["file"]);
            assert_eq!(file.as_deref(), Some(&b"a whole text"[..]), "{when}");
            assert!(content(&folder, &kept["large"]) == Some(noise(100_000, 1)), "{when}");
            assert_eq!(objects(&folder), 2, "{when}");
        }
    }
}
