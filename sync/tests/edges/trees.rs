//! Folders that go as a whole, while others use them.

use std::{
    fs, io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sync::{FileSystem, OnMassDeletion, Request};

use crate::common::{
    Pair,
    interpose::{Effect, Instead, Interpose},
    read, tree, write,
};

fn allowing() -> Request {
    Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() }
}

/// The folders of the trash that things lie in, with the names of the things.
fn items(trash: &Path) -> Vec<PathBuf> {
    let Ok(batches) = fs::read_dir(trash) else { return Vec::new() };
    let things = batches.flat_map(|batch| fs::read_dir(batch.unwrap().path()).unwrap());
    let things = things.map(|thing| thing.unwrap().path());
    things.filter(|thing| thing.file_name().unwrap() != "notes").collect()
}

fn prepare() -> Pair {
    let pair = Pair::new();
    for number in 0..20 {
        write(pair.server(&format!("gone/{}/{number}", number % 3)), format!("file {number}"));
    }
    crate::common::link("0/0", pair.server("gone/link"));
    write(pair.server("stays"), "x");
    pair.sync();
    pair
}

/// Does something once, before a folder goes into the trash.
fn before_it_goes(deed: impl Fn() + Send + Sync + 'static) -> Arc<dyn FileSystem> {
    let done = AtomicBool::new(false);
    let is_in = |folder: BorrowedFd<'_>, name: &str| {
        let path =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder)));
        path.is_ok_and(|path| path.to_string_lossy().contains(name))
    };
    Arc::new(Interpose::new(move |effect: Effect<'_>| -> io::Result<Instead> {
        if let Effect::RenameNew(_, b"gone", to, _) = effect
            && is_in(to, "trash")
            && !done.swap(true, Ordering::SeqCst)
        {
            deed();
        }
        Ok(Instead::Go)
    }))
}

#[test]
fn a_folder_goes_by_one_rename_and_comes_back_out_of_the_trash() {
    let pair = prepare();
    let before = tree(&pair.server(""));
    fs::rename(pair.studio("gone"), pair.folder.path().join("away")).unwrap();
    let outcome = pair.sync_with(&allowing());
    assert_eq!(outcome.server_changes.len(), 25);
    assert!(!pair.server("gone").exists());
    let items = items(&pair.folder.path().join("zone.trash"));
    assert_eq!(items.len(), 1, "{items:?}");
    assert!(items[0].join("0/0").is_file());
    fs::rename(pair.folder.path().join("away"), pair.studio("gone")).unwrap();
    for number in 0..20 {
        // Enough that the trash is worth a search.
        write(pair.studio(&format!("gone/{}/{number}", number % 3)), format!("file {number}"));
    }
    pair.sync();
    assert_eq!(tree(&pair.server("")), before);
    pair.assert_settled();
}

#[test]
fn somebody_writes_into_a_folder_while_it_goes() {
    for studio in [false, true] {
        let mut pair = prepare();
        let (gone, other) = if studio {
            (pair.server("gone"), pair.studio("gone"))
        } else {
            (pair.studio("gone"), pair.server("gone"))
        };
        fs::remove_dir_all(gone).unwrap();
        let late = other.join("1/1");
        let new = other.join("2/new");
        let fs = before_it_goes(move || {
            write(&late, "written in the last moment");
            write(&new, "new in the last moment");
        });
        if studio {
            pair.studio_fs = Some(fs);
        } else {
            pair.server_fs = Some(fs);
        }
        pair.sync_with(&allowing());
        assert_eq!(read(other.join("1/1")), "written in the last moment", "studio: {studio}");
        assert_eq!(read(other.join("2/new")), "new in the last moment", "studio: {studio}");
        assert!(!other.join("0").exists(), "studio: {studio}");
        assert!(!other.join("1/4").exists(), "studio: {studio}");
        (pair.server_fs, pair.studio_fs) = (None, None);
        pair.sync_keeping_both();
        pair.assert_has("written in the last moment");
        pair.assert_has("new in the last moment");
        pair.assert_settled();
    }
}

#[test]
fn what_is_excluded_stays_and_clean_folders_beside_it_go() {
    let mut pair = Pair::new();
    pair.exclusions = vec!["*.tmp".to_owned()];
    for number in 0..20 {
        write(pair.server(&format!("gone/{}/{number}", number % 3)), format!("file {number}"));
    }
    pair.sync();
    write(pair.server("gone/1/mine.tmp"), "mine");
    fs::remove_dir_all(pair.studio("gone")).unwrap();
    pair.sync_with(&allowing());
    assert_eq!(tree(&pair.server("gone")).len(), 2, "{:?}", tree(&pair.server("gone")));
    assert_eq!(read(pair.server("gone/1/mine.tmp")), "mine");
    let things = items(&pair.folder.path().join("zone.trash"));
    let folders = things.iter().filter(|thing| thing.is_dir()).count();
    assert_eq!((folders, pair.trash().len()), (2, 20), "{things:?}");
}

/// A run that was killed left a folder of new files, and one that was displaced, in the staging folder.
#[test]
fn what_an_interrupted_run_left_in_the_staging_folder_is_put_in_order() {
    let pair = prepare();
    let stage = pair.folder.path().join("zone.state/stage");
    write(stage.join("aaaaaaaaaaaaaaaa-1/inner/half"), "half of a new file");
    write(stage.join("aaaaaaaaaaaaaaaa-2/inner/old"), "displaced");
    let batch = pair.folder.path().join("zone.trash/1700000000-aaaaaaaaaaaaaaaa-0");
    let note = r#"{"thing":"aaaaaaaaaaaaaaaa-2","path":"Z29uZQ==","deleted_at_s":1700000000,"reason":"test"}"#;
    write(batch.join("notes"), format!("{note}\n"));
    pair.sync();
    let left: Vec<_> = tree(&stage).into_keys().collect();
    assert!(left.iter().all(|path| path.to_string_lossy().starts_with("SHELF")), "{left:?}");
    assert_eq!(read(batch.join("aaaaaaaaaaaaaaaa-2/inner/old")), "displaced");
    assert_eq!(pair.trash(), [b"displaced"]);
}
