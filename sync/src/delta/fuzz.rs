//! What differences are made of, as nobody wrote it: whatever it says, the way leads over what is there, and is as long as the
//! content; where a list is true, it leads to the content.

use std::ops::Range;

use super::{
    BlockList, BlockLister, DeltaMaker, Instruction, Part, Shift, parts, shift::sum, sketch,
};
use crate::fuzz::{Dice, fuzz, spoil};

fn noise(size: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&dice.any().to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Another version: with pieces that are others, elsewhere, or gone.
fn edited(old: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..dice.below(4) {
        let at = dice.below(new.len() + 1);
        let until = at + dice.below((new.len() - at).min(9_000) + 1);
        match dice.below(3) {
            0 => {
                let size = dice.below(3_000);
                drop(new.splice(at..until, noise(size, dice)));
            }
            1 => new.extend_from_within(at..until),
            _ => new.rotate_left(at),
        }
    }
    new
}

/// The content to which a way leads, and its length, where it leads over more than there is.
#[derive(Default)]
struct Way {
    content: Vec<u8>,
    length: u64,
}

impl Way {
    fn copy(&mut self, old: &[u8], offset: u64, length: u64) {
        self.length += length;
        let range = usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap();
        self.content.extend(old.get(range).unwrap_or_default());
    }

    fn data(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        self.content.extend(data);
    }
}

#[test]
fn block_lists_that_nobody_wrote() {
    fuzz("blocks", 300, |dice| {
        let size = 65_536 + dice.below(100_000);
        let old = noise(size, dice);
        let mut lister = BlockLister::new(size as u64).unwrap();
        lister.push(&old);
        let (truth, digest) = lister.finish();
        assert_eq!(digest.unwrap().0, *blake3::hash(&old).as_bytes());
        let mut bytes = truth.encode();
        assert_eq!(BlockList::decode(&bytes).as_ref(), Some(&truth));
        match dice.below(4) {
            // A length that fits, too.
            0 | 1 => {
                let at = dice.below(12);
                bytes[at] ^= 1 << dice.below(8);
            }
            2 => spoil(&mut bytes, dice),
            _ => {}
        }
        let Some(list) = BlockList::decode(&bytes) else { return };
        assert_eq!(list.encode(), bytes);
        assert_eq!(
            (0..list.count()).map(|block| list.block_len(block)).sum::<u64>(),
            list.content_size
        );
        let is_its = list.digest().is_none_or(|found| Some(found) == digest);
        let is_true = list == truth;
        assert!(!is_true || is_its);

        let new = edited(&old, dice);
        let mut way = Way::default();
        let mut follow = |instruction: Instruction<'_>| -> Result<(), ()> {
            match instruction {
                Instruction::Copy { offset, length } => {
                    assert!(offset + length <= list.content_size);
                    way.copy(&old, offset, length);
                }
                Instruction::Data(data) => way.data(data),
            }
            Ok(())
        };
        let mut maker = DeltaMaker::new(&list);
        let mut lister = BlockLister::new(new.len().max(65_536) as u64).unwrap();
        lister.push(&new);
        let shift = Shift::new(&list, &lister.finish().0);
        let sum_of = |range: Range<u64>| {
            let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
            new.get(range).map(sum)
        };
        let (piece, mut at) = (1 + dice.below(70_000), 0);
        while at < new.len() {
            let end = new.len().min(at + piece);
            maker.push(&new[at..end], &mut follow).unwrap();
            at = end;
            let Some(course) = maker.course() else { continue };
            let moved = shift.length(course, new.len() as u64, sum_of);
            let until = usize::try_from(course.at + moved).unwrap();
            if until > at {
                maker.go_on(moved, &mut follow).unwrap();
                at = until;
            }
        }
        maker.finish(&mut follow).unwrap();
        assert_eq!(way.length, new.len() as u64);
        assert!(!is_true || way.content == new);
    });
}

#[test]
fn sketches_that_nobody_made() {
    fuzz("sketches", 3_000, |dice| {
        let size = dice.below(20_000);
        let old = noise(size, dice);
        let Some(truth) = sketch(&old) else { return };
        let (mut size, mut told) = (old.len() as u64, truth);
        match dice.below(4) {
            0 => spoil(&mut told, dice),
            1 => size = dice.any() >> dice.below(64),
            2 => {
                let at = dice.below(told.len());
                told[at] ^= 1;
            }
            _ => {}
        }
        let new = edited(&old, dice);
        let Some(parts) = parts(size, &told, &new) else { return };
        let mut way = Way::default();
        for part in parts {
            match part {
                Part::Copy { offset, length } => {
                    assert!(offset + length <= size);
                    way.copy(&old, offset, length);
                }
                Part::Data(range) => way.data(&new[range]),
            }
        }
        assert_eq!(way.length, new.len() as u64);
        // Where it leads elsewhere, hashes of four bytes collided: the receiver knows the digest.
        assert!(way.content.len() <= new.len());
    });
}
