//! Folders that were deleted and are made again the same: the server takes them back out of its trash by one rename, and only what is
//! just the same.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sync::{Fault, FaultyFileSystem, FileSystem, Outcome};

use crate::common::{
    Mishap, Pair, Thing,
    interpose::{Effect, Instead, Interpose},
    link, noise, read, set_executable, tree, write,
};

/// Files below `a`; as much as makes a search of the trash worth it, and few enough that nobody is asked.
const FILES: u64 = 90;

type Deed = fn(&Path);

fn make(root: &Path) {
    for number in 0..FILES {
        write(root.join(format!("a/{}/file-{number}", number % 10)), noise(4_000, number));
    }
    set_executable(root.join("a/3/file-3"), true);
    fs::create_dir_all(root.join("a/empty/inner")).unwrap();
    link("3/file-3", root.join("a/link"));
}

/// The studio deleted `a`, and so has the server, but for its trash.
fn deleted() -> Pair {
    let pair = Pair::in_memory();
    make(&pair.studio(""));
    write(pair.studio("beside"), "beside");
    pair.sync();
    fs::remove_dir_all(pair.studio("a")).unwrap();
    pair.sync();
    assert_eq!(pair.trash().len() as u64, FILES);
    assert!(!pair.server("a").exists());
    pair
}

/// Where the folder lies in the trash.
fn in_trash(pair: &Pair) -> PathBuf {
    let batches = fs::read_dir(pair.folder.path().join("zone.trash")).unwrap();
    let things = batches.flat_map(|batch| fs::read_dir(batch.unwrap().path()).unwrap());
    let mut folders = things.map(|thing| thing.unwrap().path()).filter(|thing| thing.is_dir());
    folders.next().unwrap()
}

fn inode(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// What was copied out of the trash and what came back whole can be told by the inode.
#[track_caller]
fn assert_made_again(pair: &Pair, outcome: &Outcome, trashed: &Path, before: u64, is_whole: bool) {
    assert_eq!(outcome.skipped, []);
    assert_eq!(tree(&pair.server("")), tree(&pair.studio("")));
    assert_eq!(inode(pair.server("a/5/file-5")) == before, is_whole);
    assert_eq!(trashed.exists(), !is_whole);
    // Little more than the list of what is there.
    assert!(outcome.stats.bytes_received < 12_000, "{} bytes", outcome.stats.bytes_received);
    pair.assert_settled();
}

#[test]
fn it_comes_back_by_one_rename_and_nothing_of_it_is_left_in_the_trash() {
    let pair = deleted();
    let trashed = in_trash(&pair);
    let before = inode(trashed.join("5/file-5"));
    for _ in 0..3 {
        make(&pair.studio(""));
        let outcome = pair.sync();
        // With the root of it, ten folders, two more and a link.
        assert_eq!(outcome.server_changes.len() as u64, FILES + 14);
        assert_made_again(&pair, &outcome, &trashed, before, true);
        assert!(pair.trash().is_empty());
        assert_eq!(fs::read_dir(pair.folder.path().join("zone.trash")).unwrap().count(), 0);
        fs::remove_dir_all(pair.studio("a")).unwrap();
        pair.sync();
        assert_eq!(pair.trash().len() as u64, FILES);
    }
}

#[test]
fn what_is_not_just_the_same_is_not_taken() {
    let deeds: [(&str, Deed); 6] = [
        ("edited in the trash, and looks the same", |trashed| {
            let file = trashed.join("4/file-4");
            let modified = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, noise(4_000, 1_000)).unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        }),
        ("more in the trash", |trashed| write(trashed.join("4/more"), "more")),
        ("less in the trash", |trashed| fs::remove_file(trashed.join("4/file-4")).unwrap()),
        ("an empty folder less", |trashed| fs::remove_dir(trashed.join("empty/inner")).unwrap()),
        ("another link", |trashed| {
            fs::remove_file(trashed.join("link")).unwrap();
            link("4/file-4", trashed.join("link"));
        }),
        ("a bit", |trashed| set_executable(trashed.join("4/file-4"), true)),
    ];
    for (what, deed) in deeds {
        let pair = deleted();
        let trashed = in_trash(&pair);
        deed(&trashed);
        let left = tree(&trashed);
        make(&pair.studio(""));
        pair.sync();
        assert_eq!(tree(&pair.server("")), tree(&pair.studio("")), "{what}");
        assert_eq!(tree(&trashed), left, "{what}");
        pair.assert_settled();
    }
}

#[test]
fn what_was_made_otherwise_comes_file_by_file_out_of_the_trash() {
    let deeds: [Deed; 4] = [
        |root| write(root.join("a/4/file-4"), "edited"),
        |root| write(root.join("a/4/more"), "more"),
        |root| fs::remove_file(root.join("a/4/file-4")).unwrap(),
        |root| set_executable(root.join("a/4/file-4"), true),
    ];
    for deed in deeds {
        let pair = deleted();
        let trashed = in_trash(&pair);
        let before = inode(trashed.join("5/file-5"));
        make(&pair.studio(""));
        deed(&pair.studio(""));
        let outcome = pair.sync();
        assert_made_again(&pair, &outcome, &trashed, before, false);
        assert_eq!(pair.trash().len() as u64, FILES);
    }
}

#[test]
fn it_gets_the_times_that_files_were_made_again_with() {
    let pair = deleted();
    make(&pair.studio(""));
    let file = fs::File::options().write(true).open(pair.studio("a/6/file-6")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    file.set_modified(time).unwrap();
    pair.sync();
    for name in ["a/6/file-6", "a/7/file-7"] {
        let of = |path: PathBuf| fs::metadata(path).unwrap().mtime();
        assert_eq!(of(pair.server(name)), of(pair.studio(name)), "{name}");
    }
}

#[test]
fn somebody_makes_a_folder_where_it_should_come() {
    let mut pair = deleted();
    make(&pair.studio(""));
    let place = pair.server("a");
    let hook = move |effect: Effect<'_>| {
        if matches!(effect, Effect::RenameNew(_, _, _, b"a")) && !place.exists() {
            write(place.join("own"), "own");
        }
        Ok(Instead::Go)
    };
    pair.server_fs = Some(Arc::new(Interpose::new(hook)));
    pair.sync();
    assert_eq!(read(pair.server("a/own")), "own");
    pair.server_fs = None;
    pair.sync();
    pair.assert_settled();
    assert_eq!(read(pair.studio("a/own")), "own");
    assert_eq!(fs::read(pair.server("a/5/file-5")).unwrap(), noise(4_000, 5));
}

/// Whoever had a file open since before it was deleted writes into the folder, as with any file that comes back.
#[test]
fn what_somebody_writes_right_after_is_an_edit() {
    let pair = deleted();
    let trashed = in_trash(&pair);
    let mut open = fs::File::options().append(true).open(trashed.join("8/file-8")).unwrap();
    make(&pair.studio(""));
    pair.sync();
    std::io::Write::write_all(&mut open, b"and more").unwrap();
    pair.sync();
    pair.assert_settled();
    let whole = [noise(4_000, 8), b"and more".to_vec()].concat();
    assert_eq!(fs::read(pair.studio("a/8/file-8")).unwrap(), whole);
}

fn assert_ends_well(mut pair: Pair, when: &str) {
    pair.server_fs = None;
    (pair.server_mishap, pair.studio_mishap) = (Mishap::default(), Mishap::default());
    pair.sync();
    pair.sync();
    pair.assert_settled();
    let files = tree(&pair.server("a"));
    let files = files.values().filter(|thing| matches!(thing, Thing::File { .. })).count();
    assert_eq!(files as u64, FILES, "{when}");
    assert_eq!(read(pair.server("beside")), "beside", "{when}");
}

#[test]
fn killed_before_any_effect() {
    for effects in 0.. {
        let mut pair = deleted();
        make(&pair.studio(""));
        let fs: Arc<dyn FileSystem> = Arc::new(FaultyFileSystem::new(Fault::Killed, effects));
        pair.server_fs = Some(fs);
        let (server, served) = pair.try_sync(&sync::Request::default());
        let survived = server.is_ok() && served.is_ok();
        assert_ends_well(pair, &format!("killed after {effects} effects"));
        if survived {
            assert!(effects > 3, "the faults came to nothing");
            break;
        }
    }
}
