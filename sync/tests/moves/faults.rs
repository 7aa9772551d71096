//! Whoever dies or writes at whatever moment loses nothing.

use std::{fs, io, path::Path, sync::Arc};

use rustix::io::Errno;
use sync::{FileSystem, Outcome};

use crate::{
    common::{
        Mishap, Pair,
        interpose::{Effect, Instead, Interpose},
        read, tree, troubles, write,
    },
    fill,
};

fn prepare(studio: bool) -> Pair {
    let pair = Pair::in_memory();
    fill(&pair, 30);
    let (mine, theirs) = if studio {
        (pair.studio(""), pair.server(""))
    } else {
        (pair.server(""), pair.studio(""))
    };
    fs::create_dir(mine.join("new")).unwrap();
    fs::rename(mine.join("a"), mine.join("new/b")).unwrap();
    fs::rename(theirs.join("x"), theirs.join("other/x")).unwrap();
    write(mine.join("beside"), "edited");
    pair
}

fn assert_ends_well(mut pair: Pair, when: &str) {
    (pair.server_fs, pair.studio_fs) = (None, None);
    (pair.server_mishap, pair.studio_mishap) = (Mishap::default(), Mishap::default());
    pair.sync();
    pair.sync();
    let left = pair.sync();
    assert_eq!((left.server_changes, left.studio_changes), (vec![], vec![]), "{when}");
    assert_eq!(tree(&pair.server("")), tree(&pair.studio("")), "{when}");
    assert_eq!(tree(&pair.server("new/b")).len(), 40, "{when}");
    assert_eq!(read(pair.server("other/x/y")), "x/y", "{when}");
    assert!(!pair.server("a").exists() && !pair.server("x").exists(), "{when}");
    assert_eq!(read(pair.server("beside")), "edited", "{when}");
}

#[test]
fn killed_before_any_effect_of_either_side() {
    troubles::killed_before_any_effect(5, prepare, assert_ends_well);
}

#[test]
fn any_message_is_lost_doubled_cut_off_or_late() {
    troubles::any_message_in_trouble(prepare, assert_ends_well);
}

/// One run in which something is done before, or instead of, the rename of `a` to `b` on the side that did not rename it.
fn at_the_rename(
    studio: bool,
    deed: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
) -> (Pair, Outcome) {
    let mut pair = Pair::in_memory();
    fill(&pair, 30);
    let (mine, theirs) = if studio {
        (pair.studio(""), pair.server(""))
    } else {
        (pair.server(""), pair.studio(""))
    };
    fs::rename(mine.join("a"), mine.join("b")).unwrap();
    let hook = move |effect: Effect<'_>| {
        if let Effect::RenameNew(_, b"a", _, b"b") = effect {
            deed(&theirs)?;
        }
        Ok(Instead::Go)
    };
    let fs: Arc<dyn FileSystem> = Arc::new(Interpose::new(hook));
    *(if studio { &mut pair.server_fs } else { &mut pair.studio_fs }) = Some(fs);
    let outcome = pair.sync();
    (pair.server_fs, pair.studio_fs) = (None, None);
    (pair, outcome)
}

#[test]
fn what_can_t_be_renamed_is_copied_in_the_same_run() {
    for studio in [true, false] {
        let (pair, outcome) = at_the_rename(studio, |_| Err(Errno::XDEV.into()));
        let changes = if studio { &outcome.server_changes } else { &outcome.studio_changes };
        assert!(changes.len() > 60, "{changes:?}");
        assert!(outcome.skipped.is_empty() && outcome.questions.is_empty(), "{outcome:?}");
        assert!(outcome.stats.bytes_sent + outcome.stats.bytes_received < 20_000);
        let again = pair.sync();
        assert_eq!((again.server_changes.len(), again.studio_changes.len()), (0, 0));
        assert!(
            again.stats.bytes_received < 200,
            "{}: it is not agreed",
            again.stats.bytes_received
        );
        pair.assert_settled();
        assert_eq!(tree(&pair.server("b")).len(), 40);
    }
}

#[test]
fn what_somebody_writes_within_at_that_moment_comes_along() {
    for studio in [true, false] {
        let (pair, _) = at_the_rename(studio, |root| {
            write(root.join("a/3/file-3"), "edited meanwhile");
            write(root.join("a/3/new"), "new meanwhile");
            Ok(())
        });
        pair.assert_has("edited meanwhile");
        pair.sync();
        pair.assert_settled();
        assert_eq!(read(pair.server("b/3/file-3")), "edited meanwhile");
        assert_eq!(read(pair.studio("b/3/new")), "new meanwhile");
    }
}

#[test]
fn another_folder_in_its_place_stays_where_it_is() {
    for studio in [true, false] {
        let (pair, _) = at_the_rename(studio, |root| {
            fs::rename(root.join("a"), root.join("away"))?;
            write(root.join("a/own"), "another folder");
            Ok(())
        });
        pair.sync();
        pair.sync();
        pair.assert_settled();
        assert_eq!(read(pair.server("a/own")), "another folder");
        assert_eq!(tree(&pair.server("away")).len(), 40);
    }
}

#[test]
fn something_that_comes_to_the_new_path_stays() {
    for studio in [true, false] {
        let (pair, _) = at_the_rename(studio, |root| {
            write(root.join("b/own"), "came meanwhile");
            Ok(())
        });
        pair.assert_has("came meanwhile");
        pair.sync();
        pair.assert_settled();
        assert_eq!(read(pair.server("b/own")), "came meanwhile");
        assert_eq!(tree(&pair.studio("b")).len(), 41);
    }
}
