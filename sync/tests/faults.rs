//! The engine ends before every one of its effects in turn; the next run ends well, and nothing is lost.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use common::{Mishap, Pair, Thing, noise, read, tree, write};
use sync::{Fault, FaultyFileSystem, OnConflict, Request};

/// Both sides changed in every way.
fn prepare() -> Pair {
    let pair = Pair::new();
    write(pair.server("edited-here"), "1");
    write(pair.server("edited-there"), noise(100_000, 1));
    write(pair.server("deleted-here/x"), "2");
    write(pair.server("deleted-there"), "3");
    write(pair.server("conflict"), "4");
    write(pair.server("kind"), "5");
    pair.sync();
    write(pair.server("edited-here"), "1 edited");
    let mut edited = noise(100_000, 1);
    edited[50_000] ^= 1;
    write(pair.studio("edited-there"), edited);
    fs::remove_dir_all(pair.server("deleted-here")).unwrap();
    fs::remove_file(pair.studio("deleted-there")).unwrap();
    write(pair.server("conflict"), "4 of the server");
    write(pair.studio("conflict"), "4 of the studio");
    fs::remove_file(pair.studio("kind")).unwrap();
    write(pair.studio("kind/inner"), "5 inside");
    write(pair.server("new-here/a"), "6");
    write(pair.studio("new-there/b"), "7");
    common::link("a", pair.studio("new-there/link"));
    pair
}

fn contents(root: &Path) -> BTreeSet<Vec<u8>> {
    tree(root)
        .into_values()
        .filter_map(|thing| match thing {
            Thing::File { content, .. } => Some(content),
            Thing::Folder | Thing::Link(_) => None,
        })
        .collect()
}

fn keep_both() -> Request {
    Request { on_conflict: OnConflict::KeepBoth, ..Request::default() }
}

/// What must be there whatever happens: every content that is nobody's deletion.
fn wanted(pair: &Pair) -> BTreeSet<Vec<u8>> {
    let mut wanted = contents(&pair.server(""));
    wanted.extend(contents(&pair.studio("")));
    for replaced in ["1", "2", "3", "5"] {
        wanted.remove(replaced.as_bytes());
    }
    wanted.remove(&noise(100_000, 1));
    wanted
}

fn assert_all_there(pair: &Pair, wanted: &BTreeSet<Vec<u8>>, when: &str) {
    let mut there = contents(&pair.server(""));
    there.extend(contents(&pair.studio("")));
    // What waits in a staging folder comes back with the next run.
    for place in ["zone.state/stage", "studio.state/stage"] {
        there.extend(contents(&pair.folder.path().join(place)));
    }
    there.extend(pair.trash());
    there.extend(pair.studio_trash());
    for content in wanted {
        assert!(
            there.contains(content),
            "{when}: lost {:?}",
            String::from_utf8_lossy(&content[..8.min(content.len())])
        );
    }
}

fn assert_ends_well(mut pair: Pair, wanted: &BTreeSet<Vec<u8>>, when: &str) {
    assert_all_there(&pair, wanted, when);
    (pair.server_fs, pair.studio_fs) = (None, None);
    (pair.server_mishap, pair.studio_mishap) = (Mishap::default(), Mishap::default());
    pair.sync_with(&keep_both());
    pair.sync_with(&keep_both());
    pair.assert_settled();
    let mut there = contents(&pair.server(""));
    there.extend(pair.trash());
    there.extend(pair.studio_trash());
    for content in wanted {
        assert!(there.contains(content), "{when}: lost in the end");
    }
    assert_eq!(read(pair.studio("edited-here")), "1 edited", "{when}");
    assert_eq!(read(pair.server("kind/inner")), "5 inside", "{when}");
}

#[test]
fn killed_before_any_effect_of_either_side() {
    for studio in [false, true] {
        for effects in 0.. {
            let mut pair = prepare();
            let wanted = wanted(&pair);
            let fs = Arc::new(FaultyFileSystem::new(Fault::Killed, effects));
            if studio {
                pair.studio_fs = Some(fs.clone());
            } else {
                pair.server_fs = Some(fs.clone());
            }
            let (server, served) = pair.try_sync(&keep_both());
            let survived = server.is_ok() && served.is_ok();
            let when = format!("studio: {studio}, killed after {effects} effects");
            assert_ends_well(pair, &wanted, &when);
            if survived {
                assert!(effects > 20, "{when}: the faults came to nothing");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_at_any_write_stops_nothing_else() {
    for studio in [false, true] {
        for effects in 0..40 {
            let mut pair = prepare();
            let wanted = wanted(&pair);
            let fs = Arc::new(FaultyFileSystem::new(Fault::DiskFull, effects));
            if studio {
                pair.studio_fs = Some(fs);
            } else {
                pair.server_fs = Some(fs);
            }
            pair.try_sync(&keep_both()).0.ok();
            assert_ends_well(pair, &wanted, &format!("studio: {studio}, full after {effects}"));
        }
    }
}

#[test]
fn a_cut_or_falsified_link_at_any_message() {
    for studio in [false, true] {
        for number in 0..8 {
            for bit in [0usize, 3, 17, 40, 333, 5_001] {
                let mut pair = prepare();
                let wanted = wanted(&pair);
                let mishap = if bit == 0 {
                    Mishap { cut_after: Some(number), ..Mishap::default() }
                } else {
                    Mishap { corrupt: Some((number, bit)), ..Mishap::default() }
                };
                if studio {
                    pair.studio_mishap = mishap;
                } else {
                    pair.server_mishap = mishap;
                }
                pair.try_sync(&keep_both()).0.ok();
                let when = format!("studio: {studio}, {mishap:?}");
                assert_all_there(&pair, &wanted, &when);
            }
        }
    }
}

/// Every message in turn is lost, comes twice or behind the next one, of a run that has many.
#[test]
fn a_lost_doubled_or_late_message_at_any_place() {
    for studio in [false, true] {
        for kind in 0..3 {
            for number in 0..12 {
                let mut pair = prepare();
                for file in 0..4 {
                    write(pair.server(&format!("big-here/{file}")), noise(300_000, 10 + file));
                    write(pair.studio(&format!("big-there/{file}")), noise(300_000, 20 + file));
                }
                let wanted = wanted(&pair);
                let mishap = match kind {
                    0 => Mishap { lose: Some(number), ..Mishap::default() },
                    1 => Mishap { repeat: Some(number), ..Mishap::default() },
                    _ => Mishap { swap: Some(number), ..Mishap::default() },
                };
                if studio {
                    pair.studio_mishap = mishap;
                } else {
                    pair.server_mishap = mishap;
                }
                pair.try_sync(&keep_both()).0.ok();
                assert_ends_well(pair, &wanted, &format!("studio: {studio}, {mishap:?}"));
            }
        }
    }
}
