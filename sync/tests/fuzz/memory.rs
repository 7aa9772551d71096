//! What a side remembers is damaged: bytes turned, pages empty, the end missing. It may forget; it may not lose.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Database, ReadableTable as _, TableDefinition};
use sync::{OnConflict, OnMassDeletion, Request};

use crate::{
    common::{Pair, noise, write},
    dice::Dice,
};

const PAGE: usize = 4 << 10;

fn prepare() -> Pair {
    let pair = Pair::in_memory();
    for number in 0..12 {
        write(pair.server(&format!("d{}/{number}", number % 3)), format!("content {number}"));
    }
    write(pair.server("large"), noise(90_000, 1));
    pair.sync();
    write(pair.server("d0/0"), "edited on the server");
    write(pair.studio("d1/1"), "edited in the studio");
    write(pair.server("d2/2"), "both: server");
    write(pair.studio("d2/2"), "both: studio");
    fs::remove_file(pair.studio("d0/3")).unwrap();
    write(pair.studio("new"), "new");
    pair
}

fn damage(file: &File, dice: &mut Dice) {
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    match dice.below(4) {
        0 => file.set_len(dice.below(length) as u64).unwrap(),
        1 => {
            let page = dice.below(length / PAGE) * PAGE;
            file.write_all_at(&vec![0; PAGE], page as u64).unwrap();
        }
        2 => {
            let page = dice.below(length / PAGE) * PAGE;
            let bytes: Vec<u8> = (0..PAGE).map(|_| dice.any().to_le_bytes()[0]).collect();
            file.write_all_at(&bytes, page as u64).unwrap();
        }
        _ => {
            for _ in 0..=dice.below(40) {
                let at = dice.below(length) as u64;
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << dice.below(8))], at).unwrap();
            }
        }
    }
}

const PAGES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pages");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// A sound database, in which nothing is as anybody wrote it.
fn falsify(path: &Path, dice: &mut Dice) {
    let db = Database::open(path).unwrap();
    let writing = db.begin_write().unwrap();
    if dice.once_in(4) {
        let mut meta = writing.open_table(META).unwrap();
        let key = *dice.one_of(&["agreed", "generation", "root"]);
        let mut text = meta.get(key).unwrap().unwrap().value().to_vec();
        let digits: Vec<usize> = (0..text.len()).filter(|&at| text[at].is_ascii_digit()).collect();
        match dice.below(3) {
            0 => drop(meta.remove(key).unwrap()),
            1 => {
                text.truncate(dice.below(text.len()));
                meta.insert(key, text.as_slice()).unwrap();
            }
            _ => {
                for _ in 0..=dice.below(3) {
                    text[*dice.one_of(&digits)] = b'0' + u8::try_from(dice.below(10)).unwrap();
                }
                meta.insert(key, text.as_slice()).unwrap();
            }
        }
    } else {
        let mut pages = writing.open_table(PAGES).unwrap();
        let all: Vec<(Vec<u8>, Vec<u8>)> = pages
            .iter()
            .unwrap()
            .map(|item| item.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
            .collect::<Result<_, _>>()
            .unwrap();
        for _ in 0..=dice.below(3) {
            let (key, value) = dice.one_of(&all);
            let (mut key, mut value) = (key.clone(), value.clone());
            match dice.below(6) {
                0 => drop(pages.remove(key.as_slice()).unwrap()),
                1 => {
                    let other = &dice.one_of(&all).1;
                    pages.insert(key.as_slice(), other.as_slice()).unwrap();
                }
                2 => {
                    let at = dice.below(key.len() + 1);
                    key.insert(at, *dice.one_of(b"/.\0a\xff"));
                    pages.insert(key.as_slice(), value.as_slice()).unwrap();
                }
                3 => {
                    value.truncate(dice.below(value.len()));
                    pages.insert(key.as_slice(), value.as_slice()).unwrap();
                }
                _ => {
                    for _ in 0..=dice.below(4) {
                        let at = dice.below(value.len());
                        value[at] = if dice.once_in(2) {
                            *dice.one_of(b"/.\0\x01\x10\x20\xff")
                        } else {
                            value[at] ^ (1 << dice.below(8))
                        };
                    }
                    pages.insert(key.as_slice(), value.as_slice()).unwrap();
                }
            }
        }
    }
    writing.commit().unwrap();
}

pub(crate) fn damaged(dice: &mut Dice) {
    survived(
        |path, dice| damage(&File::options().read(true).write(true).open(path).unwrap(), dice),
        dice,
    );
}

pub(crate) fn wrong(dice: &mut Dice) {
    survived(falsify, dice);
}

fn survived(spoil: impl Fn(&Path, &mut Dice), dice: &mut Dice) {
    let pair = prepare();
    let owed = pair.contents();
    let path = pair.memory(dice.once_in(2)).unwrap();
    spoil(&path, dice);
    let settle = Request {
        on_conflict: OnConflict::KeepBoth,
        on_mass_deletion: OnMassDeletion::Restore,
        ..Request::default()
    };
    for _ in 0..3 {
        // The database gives up on some damage with a panic. It does so once: the next run sees that, and begins anew.
        catch_unwind(AssertUnwindSafe(|| pair.try_sync(&settle).0.ok())).ok();
        let mut there = pair.contents();
        there.extend(pair.trash());
        there.extend(pair.studio_trash());
        for content in &owed {
            assert!(there.contains(content), "lost: {:?}", content.escape_ascii().to_string());
        }
    }
    // What was remembered wrongly may show late, and is begun anew in the run after that; none of them fails.
    for _ in 0..4 {
        pair.sync_with(&settle);
    }
    pair.assert_settled();
    // Both remember the same again: what is told is no list of everything, which takes seven hundred bytes.
    let told = pair.sync().stats.bytes_received;
    assert!(told < 600, "{told} bytes of a listing of everything");
    // And nothing is distrusted after a run that ended well.
    for state in ["zone.state", "studio.state"] {
        for item in fs::read_dir(pair.folder.path().join(state)).unwrap() {
            let name = item.unwrap().file_name();
            assert!(!name.to_string_lossy().ends_with(".open"), "{state}: {}", name.display());
        }
    }
}

/// As many entries as there are, so that their number tells nothing.
#[test]
fn a_page_of_another_folder_is_noticed() {
    let pair = Pair::in_memory();
    for number in 0..4 {
        write(pair.server(&format!("one/{number}")), format!("one {number}"));
        write(pair.server(&format!("two/{}", number + 4)), format!("two {number}"));
    }
    pair.sync();
    let db = Database::open(pair.memory(true).unwrap()).unwrap();
    let writing = db.begin_write().unwrap();
    {
        let mut pages = writing.open_table(PAGES).unwrap();
        let other = pages.get(&b"one\0"[..]).unwrap().unwrap().value().to_vec();
        pages.insert(&b"two\0"[..], other.as_slice()).unwrap();
    }
    writing.commit().unwrap();
    drop(db);
    for _ in 0..3 {
        pair.assert_settled();
    }
    let told = pair.sync().stats.bytes_received;
    assert!(told < 60, "{told} bytes are told in each run");
}
