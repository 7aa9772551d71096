//! Random users who never rest.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    assert_nothing_was_missed,
    common::{Pair, is_long, tree},
    full_looks, watched,
};

const EDITS: usize = 120;

/// Draws numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    /// Few names, so that they meet.
    fn path(&mut self, root: &Path) -> PathBuf {
        let depth = 1 + self.roll(4);
        (0..depth).fold(root.to_path_buf(), |at, _| at.join(["a", "b", "c", "d"][self.roll(4)]))
    }
}

/// Whatever comes of it: others are at the same files.
fn edit(root: &Path, outside: &Path, dice: &mut Dice, next: &AtomicU64) {
    let (one, other) = (dice.path(root), dice.path(root));
    let number = next.fetch_add(1, Ordering::Relaxed);
    let content = number.to_string();
    let away = outside.join(&content);
    let done = match dice.roll(12) {
        0..=2 => fs::write(one.join(format!("f{}", dice.roll(3))), content),
        3 => fs::write(&one, content),
        4 | 5 => fs::create_dir_all(one.join("new/deep"))
            .and_then(|()| fs::write(one.join("new/deep/file"), content)),
        6 => fs::rename(&one, &other),
        7 => fs::remove_dir_all(&one),
        8 => fs::remove_file(one.join("f0")),
        9 => fs::create_dir_all(away.join("in/side"))
            .and_then(|()| fs::write(away.join("in/side/file"), content))
            .and_then(|()| fs::rename(&away, &one)),
        10 => fs::rename(&one, &away),
        _ => fs::rename(one.join("f0"), other.join("f1")),
    };
    drop(done);
}

/// Edits go on while runs do; once they rest, a look at everything finds nothing that the watched ones did not.
#[test]
fn a_watched_look_finds_everything_that_a_full_one_finds() {
    let rounds = if is_long() { 200 } else { 12 };
    let mut pair = watched(Pair::in_memory());
    let outsides = ["out-1", "out-2"].map(|name| pair.folder.path().join(name));
    for outside in &outsides {
        fs::create_dir(outside).unwrap();
    }
    let next = AtomicU64::new(0);
    pair.sync();
    for round in 0..rounds {
        std::thread::scope(|scope| {
            let editing: Vec<_> = [pair.server(""), pair.studio("")]
                .into_iter()
                .zip(&outsides)
                .zip(1_u64..)
                .map(|((root, outside), side)| {
                    let (next, seed) =
                        (&next, (round * 2 + side).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    scope.spawn(move || {
                        let mut dice = Dice(seed);
                        (0..EDITS).for_each(|_| edit(&root, outside, &mut dice, next));
                    })
                })
                .collect();
            while !editing.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                // Files that change while they are read are looked at again.
                allowed(&pair);
            }
        });
        // What could not be done on the first try is done on the next.
        for attempt in 0.. {
            let outcome = allowed(&pair);
            let changes = outcome.server_changes.len() + outcome.studio_changes.len();
            if changes + outcome.skipped.len() + outcome.kept_both.len() == 0 {
                break;
            }
            assert!(attempt < 10, "round {round}: {outcome:?}");
        }
        assert_eq!(tree(&pair.server("")), tree(&pair.studio("")), "round {round}");
        assert_nothing_was_missed(&mut pair);
    }
    let looks = [&pair.server_watch, &pair.studio_watch]
        .map(|watch| watch.as_ref().unwrap().looks().0)
        .iter()
        .sum::<u64>();
    assert!(full_looks(&pair) * 4 < looks, "{} of {looks} looks at everything", full_looks(&pair));
}

fn allowed(pair: &Pair) -> sync::Outcome {
    pair.sync_with(&sync::Request {
        on_conflict: sync::OnConflict::KeepBoth,
        on_mass_deletion: sync::OnMassDeletion::Allow,
        ..sync::Request::default()
    })
}
