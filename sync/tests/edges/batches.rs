//! More than one batch: one is carried out while the next is staged.

use std::{fs, sync::Arc};

use sync::{Fault, FaultyFileSystem, OnMassDeletion, Request};

use crate::common::{Pair, power::PowerLoss, tree, write};

/// More than two batches for one side, more than one for each of two.
const FILES: usize = 18_000;

fn prepare() -> Pair {
    let pair = Pair::in_memory();
    for number in 0..FILES {
        let (side, name) = (number % 2 == 0, format!("{}/{}/f{number}", number % 7, number % 50));
        let path = if side { pair.server(&name) } else { pair.studio(&name) };
        write(path, number.to_string());
    }
    pair
}

fn files(pair: &Pair) -> usize {
    tree(&pair.server(""))
        .values()
        .filter(|thing| !matches!(thing, crate::common::Thing::Folder))
        .count()
}

#[test]
fn all_of_it_arrives_on_both_sides_and_goes_again() {
    let pair = Pair::in_memory();
    for number in 0..FILES {
        write(
            pair.server(&format!("{}/{}/f{number}", number % 7, number % 50)),
            number.to_string(),
        );
    }
    let outcome = pair.sync();
    assert_eq!(outcome.skipped, []);
    pair.assert_settled();
    for folder in 0..7 {
        fs::remove_dir_all(pair.studio(&folder.to_string())).unwrap();
    }
    pair.sync_with(&Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() });
    assert_eq!(files(&pair), 0);
    assert_eq!(pair.trash().len(), FILES);
    pair.assert_settled();
}

/// Neither a killed program nor a power cut in the middle makes anything disappear, or appear by half.
#[test]
fn an_end_in_the_middle_of_two_batches_loses_nothing() {
    for studio in [false, true] {
        for (round, effects) in [12_000, 25_000, 26_500].into_iter().enumerate() {
            let mut pair = prepare();
            let fs: Arc<dyn sync::FileSystem> = if round % 2 == 0 {
                Arc::new(FaultyFileSystem::new(Fault::Killed, effects))
            } else {
                Arc::new(PowerLoss::after(effects))
            };
            if studio {
                pair.studio_fs = Some(fs);
            } else {
                pair.server_fs = Some(fs);
            }
            let (server, served) = pair.try_sync(&Request::default());
            assert!(server.is_err() || served.is_err(), "studio: {studio}, {effects}");
            (pair.server_fs, pair.studio_fs) = (None, None);
            let empty = |root: std::path::PathBuf| {
                let mut things = tree(&root).into_values();
                things.any(|thing| matches!(thing, crate::common::Thing::File { content, .. } if content.is_empty()))
            };
            assert!(!empty(pair.server("")) && !empty(pair.studio("")), "{studio}, {effects}");
            let outcome = pair.sync();
            assert_eq!(outcome.skipped, []);
            assert_eq!(files(&pair), FILES, "studio: {studio}, {effects}");
            pair.assert_settled();
        }
    }
}
