//! Pages as nobody wrote them: what is read of them could have been written, or they are refused.

use std::collections::BTreeMap;

use super::page::{self, Reader, Remembered, Senseless, Writer};
use crate::{
    LONGEST_LINK, LONGEST_NAME, RelPath,
    entry::{Digest, Entry},
    fs::Stamp,
    fuzz::{Dice, fuzz, spoil},
    index::Known,
};

type Records = Vec<(Vec<u8>, Remembered)>;

fn entry(dice: &mut Dice) -> Entry {
    match dice.below(4) {
        0 => Entry::Folder,
        1 => {
            let longest = *dice.one_of(&[20, LONGEST_LINK]);
            Entry::Link { target: vec![b'x'; 1 + dice.below(longest)].into() }
        }
        _ => Entry::File {
            size: dice.any() >> (1 + dice.below(63)),
            digest: Digest::of(&dice.any().to_le_bytes()),
            executable: dice.once_in(2),
        },
    }
}

fn known(dice: &mut Dice) -> Known {
    let entry = entry(dice);
    let named = Stamp { inode: dice.any(), device: dice.any() >> 40, ..Stamp::default() };
    if entry.is_folder() {
        return Known { entry, stamp: named, racy: false };
    }
    let stamp = Stamp {
        size: dice.any() >> dice.below(64),
        mtime_ns: dice.any().cast_signed(),
        ctime_ns: dice.any().cast_signed(),
        executable: dice.once_in(2),
        ..named
    };
    Known { entry, stamp, racy: dice.once_in(3) }
}

fn remembered(dice: &mut Dice) -> Remembered {
    let seen = known(dice);
    match dice.below(4) {
        0 => Remembered { seen: None, agreed: Some(entry(dice)) },
        1 => Remembered { seen: Some(seen), agreed: None },
        2 => Remembered { seen: Some(seen), agreed: Some(entry(dice)) },
        _ => Remembered { agreed: Some(seen.entry.clone()), seen: Some(seen) },
    }
}

fn records(dice: &mut Dice) -> Records {
    let mut records = BTreeMap::new();
    for _ in 0..dice.below(12) {
        let longest = *dice.one_of(&[3, LONGEST_NAME]);
        let name = dice.bytes(longest);
        if RelPath::in_folder(None, &name).is_ok() && !name.contains(&b'/') {
            records.insert(name, remembered(dice));
        }
    }
    records.into_iter().collect()
}

fn write(records: &Records, generation: u32) -> Vec<Vec<u8>> {
    let mut writer = Writer::new(generation, Vec::new());
    for (name, what) in records {
        writer.push(name, what);
    }
    writer.finish().into_iter().map(|(_, page)| page).collect()
}

fn read(page: &[u8], generation: u32) -> Result<Records, Senseless> {
    let records = Reader::new(page, generation);
    records.map(|record| record.map(|(name, what)| (name.to_vec(), what))).collect()
}

/// The same where reading is interrupted after so many records.
fn read_in_two(page: &[u8], generation: u32, first: usize) -> Result<Records, Senseless> {
    let mut reader = Reader::new(page, generation);
    let mut all = Records::new();
    for record in reader.by_ref().take(first) {
        let (name, what) = record?;
        all.push((name.to_vec(), what));
    }
    let last = all.last().map(|(name, _)| name.clone()).unwrap_or_default();
    let rest = &page[page.len() - reader.left()..];
    for record in Reader::resume(rest, reader.is_valid(), &last) {
        let (name, what) = record?;
        all.push((name.to_vec(), what));
    }
    Ok(all)
}

#[test]
fn pages_that_nobody_wrote() {
    fuzz("pages", 5_000, |dice| {
        let generation = u32::try_from(dice.below(3)).unwrap();
        let records = records(dice);
        let pages = write(&records, generation);
        let again = pages.iter().map(|page| read(page, generation).unwrap());
        assert_eq!(again.flatten().collect::<Records>(), records);
        let Some(mut page) = pages.into_iter().next() else { return };
        spoil(&mut page, dice);
        let read_at_once = read(&page, generation);
        assert_eq!(read_in_two(&page, generation, dice.below(4)), read_at_once);
        let Ok(mut records) = read_at_once else { return };
        assert!(records.is_sorted_by(|(one, _), (other, _)| one < other));
        for (name, _) in &records {
            let path = RelPath::in_folder(None, name).unwrap();
            assert!(path.parent().is_none(), "{path:?}");
        }
        // Of another generation nothing is agreed, and then there may be nothing left to write.
        records.retain(|(_, what)| *what != Remembered::default());
        let again = write(&records, generation);
        let again = again.iter().map(|page| read(page, generation).unwrap());
        assert_eq!(again.flatten().collect::<Records>(), records);
    });
}

#[test]
fn keys_that_nobody_wrote() {
    fuzz("keys", 10_000, |dice| {
        let mut key = Vec::new();
        for _ in 0..dice.below(12) {
            key.push(if dice.once_in(3) {
                dice.any().to_le_bytes()[0]
            } else {
                *dice.one_of(b"/.a\0")
            });
        }
        let told = key.split(|&byte| byte == 0).next().unwrap();
        let is_sound = key.contains(&0) && (told.is_empty() || RelPath::try_from(told).is_ok());
        let folder = page::folder_of(&key);
        assert_eq!(folder.is_ok(), is_sound, "{key:?}");
        if let Ok(folder) = folder {
            let name = page::least_name(&key);
            assert_eq!(page::key(folder.as_ref().map(RelPath::as_bytes), name), key);
        }
    });
}
