//! Two real processes, one of which is killed with `kill -9` in the middle of a transfer: nothing is lost, and the next run ends
//! well. 12 times; `ATELIER_LONG=1`: 500 times.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod process;

use std::{collections::BTreeSet, fs, time::Duration};

use common::{Pair, noise, tree, write};
use process::{End, kill_during};

const FILES: u64 = 24;

/// Numbers that are the same for the same round and use.
fn random(round: u64, usage: u64) -> u64 {
    u64::from_le_bytes(noise(8, round * 1_000 + usage).try_into().unwrap())
}

/// Users of both sides work; answers how many bytes will have to travel, roughly.
fn work(pair: &Pair, round: u64) -> u64 {
    let mut bytes = 0;
    for file in 0..FILES {
        let path = format!("d{}/f{file}", file % 5);
        let dice = random(round, file);
        let root = if dice.is_multiple_of(2) { pair.server("") } else { pair.studio("") };
        let size = dice / 2 % 60_000;
        match dice / 7 % 8 {
            0..=4 => {
                write(root.join(&path), noise(usize::try_from(size).unwrap(), dice));
                bytes += size;
            }
            5 => {
                fs::remove_file(root.join(&path)).ok();
            }
            6 => {
                // Both at once.
                write(pair.server(&path), noise(5_000, dice));
                write(pair.studio(&path), noise(5_000, dice + 1));
                bytes += 10_000;
            }
            _ => {}
        }
    }
    // A large one, edited in place on one side: a delta.
    let large = if round.is_multiple_of(2) { pair.server("large") } else { pair.studio("large") };
    let mut content = fs::read(&large).unwrap();
    let at = usize::try_from(random(round, 100)).unwrap_or(0) % content.len();
    content[at] ^= 1;
    write(&large, content);
    bytes
}

fn everything(pair: &Pair) -> BTreeSet<Vec<u8>> {
    let mut all = pair.contents();
    all.extend(pair.staged());
    all
}

/// So that the trash does not grow over all rounds.
fn forget_trash(pair: &Pair) {
    for trash in ["zone.trash", "studio.state/trash"] {
        let folder = pair.folder.path().join(trash);
        for item in fs::read_dir(folder).unwrap() {
            fs::remove_dir_all(item.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn nothing_is_lost_when_either_process_is_killed_in_the_middle() {
    let rounds = if common::is_long() { 500 } else { 12 };
    let pair = Pair::in_memory();
    write(pair.server("large"), noise(900_000, 1));
    pair.sync();
    let mut in_the_middle = 0;
    for round in 0..rounds {
        let bytes = work(&pair, round);
        let owed = everything(&pair);
        let victim = if random(round, 200).is_multiple_of(2) { End::Server } else { End::Studio };
        // Most while contents travel, some in what comes after.
        let (after, delay) = match random(round, 201) % 5 {
            0 => (bytes, Duration::from_micros(random(round, 202) % 20_000)),
            _ => (random(round, 203) % bytes.max(1), Duration::ZERO),
        };
        if kill_during(&pair, victim, after, delay) {
            in_the_middle += 1;
        }
        let mut there = everything(&pair);
        there.extend(pair.trash());
        there.extend(pair.studio_trash());
        for content in &owed {
            assert!(there.contains(content), "round {round}: lost {} bytes", content.len());
        }
        pair.sync_keeping_both();
        pair.sync_keeping_both();
        let mut there = pair.contents();
        there.extend(pair.trash());
        there.extend(pair.studio_trash());
        for content in &owed {
            assert!(there.contains(content), "round {round}: lost {} bytes later", content.len());
        }
        pair.assert_settled();
        forget_trash(&pair);
        for path in tree(&pair.server("")).into_keys() {
            if path.to_string_lossy().contains(".conflict-") {
                fs::remove_file(pair.server("").join(path)).unwrap();
            }
        }
        pair.sync();
    }
    println!("{in_the_middle} of {rounds} runs had not ended");
    assert!(
        in_the_middle * 3 >= rounds * 2,
        "only {in_the_middle} of {rounds} were killed in time"
    );
}
