//! What a side remembers is damaged: bytes turned, pages empty, the end missing. It may forget; it may not lose.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
};

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

pub(crate) fn damaged(dice: &mut Dice) {
    let pair = prepare();
    let owed = pair.contents();
    let path = pair.memory(dice.once_in(2)).unwrap();
    damage(&File::options().read(true).write(true).open(path).unwrap(), dice);
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
    pair.sync_with(&settle);
    pair.assert_settled();
    // And nothing is distrusted after a run that ended well.
    for state in ["zone.state", "studio.state"] {
        for item in fs::read_dir(pair.folder.path().join(state)).unwrap() {
            let name = item.unwrap().file_name();
            assert!(!name.to_string_lossy().ends_with(".open"), "{state}: {}", name.display());
        }
    }
}
