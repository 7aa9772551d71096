//! Contents on their way, as no engine sends them: what is taken is what was announced, and nothing else is left behind.

use std::{fs, io, path::Path};

use bytes::Bytes;
use proto::sync::v1::{self as pb, step::What as Step};

use super::{Announced, BasisFile, Receipt, SMALL_BYTES, receive};
use crate::{
    Context, Link, LinkError,
    delta::BlockLister,
    entry::{Digest, Entry},
    error::Error,
    fuzz::{Dice, fuzz},
    side::{Layout, Side},
    wire::{Pipe, StepReader},
};

/// Nothing comes any more.
struct Silent;

impl Link for Silent {
    fn send(&mut self, _: Bytes) -> Result<(), LinkError> {
        Err(LinkError::Gone)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        Ok(None)
    }
}

fn noise(size: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&dice.any().to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// What copies may refer to.
struct Bases {
    /// In a file of the side.
    file: Vec<u8>,
    sketched: Vec<u8>,
    is_proven: bool,
}

/// What a sequence of steps comes to.
enum Meaning {
    Content(Vec<u8>),
    /// The same, partly from what was sketched: of which only what is small is made.
    Small(Vec<u8>),
    /// It can't be made, or nobody says what it is.
    Nothing,
}

impl Meaning {
    fn content(&self) -> Option<&Vec<u8>> {
        match self {
            Self::Content(content) | Self::Small(content) => Some(content),
            Self::Nothing => None,
        }
    }
}

/// Steps, and the content to which they lead if they are followed to the letter.
fn steps(bases: &Bases, dice: &mut Dice) -> (Vec<Step>, Meaning) {
    let begin = |dice: &mut Dice| pb::Begin {
        basis: match dice.below(4) {
            0 | 1 => Digest::of(&bases.file).0.to_vec().into(),
            2 => Bytes::new(),
            _ => vec![9; 32].into(),
        },
        sketched: dice.once_in(3),
    };
    let first = begin(dice);
    let is_its = |begin: &pb::Begin| begin.basis == Digest::of(&bases.file).0.as_slice();
    let mut origin: Option<&[u8]> = if is_its(&first) {
        Some(&bases.file)
    } else {
        first.sketched.then_some(bases.sketched.as_slice())
    };
    let mut is_of_sketch = false;
    let mut steps = vec![Step::Begin(first)];
    let mut content = Some(Vec::new());
    for _ in 0..dice.below(8) {
        match dice.below(12) {
            0..=3 => {
                let size = *dice.one_of(&[0, 10, 3_000, 70_000]);
                let data = noise(size, dice);
                if let Some(content) = &mut content {
                    content.extend(&data);
                }
                steps.push(Step::Data(data.into()));
            }
            4..=8 => {
                let from = origin.unwrap_or_default();
                let (mut offset, mut length) = (dice.below(from.len() + 1), 0);
                if dice.once_in(3) {
                    // As most do: what is at the same place.
                    offset = content.as_ref().map_or(0, Vec::len).min(from.len());
                }
                if dice.once_in(8) {
                    offset += 1 << dice.below(62);
                } else {
                    length = dice.below(from.len() - offset + 1);
                }
                if dice.once_in(8) {
                    length = usize::try_from(dice.any() >> (1 + dice.below(63))).unwrap();
                }
                let part = offset.checked_add(length).and_then(|end| from.get(offset..end));
                match (origin, part, &mut content) {
                    (Some(_), Some(part), Some(content)) => content.extend(part),
                    _ => content = None,
                }
                is_of_sketch |= from == bases.sketched;
                steps.push(Step::Copy(pb::Copy { offset: offset as u64, length: length as u64 }));
            }
            9 | 10 => {
                let count = *dice.one_of(&[1, 5_000, 200_000, 1 << 40, u64::MAX]);
                match &mut content {
                    Some(content) if count < 1 << 20 => {
                        content.resize(content.len() + usize::try_from(count).unwrap(), 0);
                    }
                    _ => content = None,
                }
                steps.push(Step::Zeros(count));
            }
            _ => {
                let again = begin(dice);
                origin = if is_its(&again) {
                    Some(&bases.file)
                } else {
                    again.sketched.then_some(bases.sketched.as_slice())
                };
                is_of_sketch = false;
                content = Some(Vec::new());
                steps.push(Step::Restart(again));
            }
        }
    }
    let meaning = match content {
        Some(content) if is_of_sketch => Meaning::Small(content),
        Some(content) => Meaning::Content(content),
        None => Meaning::Nothing,
    };
    (steps, meaning)
}

fn file(content: &[u8]) -> Entry {
    Entry::File { size: content.len() as u64, digest: Digest::of(content), executable: false }
}

fn one(side: &Side, stage: &Path, root: &Path, dice: &mut Dice) {
    let size = *dice.one_of(&[0, 2_000, 65_536, 200_000]);
    let bases =
        Bases { file: noise(size, dice), sketched: noise(3_000, dice), is_proven: dice.once_in(2) };
    fs::write(root.join("basis"), &bases.file).unwrap();
    if let Some(mut lister) = BlockLister::new(size as u64) {
        lister.push(&bases.file);
        let (blocks, _) = lister.finish();
        side.state.keep_blocks(Digest::of(&bases.file), &blocks).unwrap();
    }
    let (mut steps, meaning) = steps(&bases, dice);
    let other = noise(dice.below(100_000), dice);
    // What is announced is the truth, or not; and so is what is told in the end.
    let content = meaning.content().filter(|_| !dice.once_in(4)).unwrap_or(&other);
    let announced = file(content);
    let end = match dice.below(8) {
        0 => Step::Failed("for a reason".to_owned()),
        1 => Step::Commit(true),
        2 => Step::End(crate::wire::proto_local_entry(&file(&other), -1)),
        3 => Step::End(crate::wire::proto_local_entry(&announced, -1)),
        _ => Step::Complete(true),
    };
    steps.push(end.clone());
    let mut reader = StepReader::default();
    let steps = steps.into_iter().map(|what| pb::Step { what: Some(what) });
    reader.add(pb::Stream { steps: steps.collect() });
    let basis = |digest: Digest| -> Result<Option<BasisFile>, Error> {
        let file = fs::File::open(root.join("basis")).map_err(Error::io("open"))?;
        let is_it = digest == Digest::of(&bases.file);
        Ok(is_it.then_some(BasisFile { file, is_proven: bases.is_proven }))
    };
    let told = Announced { entry: &announced, modified_ms: -1 };
    let mut link = Silent;
    let mut pipe = Pipe::new(&mut link);
    let receipt = receive(side, &mut pipe, &mut reader, &told, Some(&bases.sketched), basis);
    let wanted = match end {
        Step::End(ref entry) if entry.digest == file(&other).digest().unwrap().0.as_slice() => {
            &other
        }
        _ => content,
    };
    let is_true = match &meaning {
        Meaning::Content(content) => content == wanted,
        Meaning::Small(content) => content == wanted && announced.size() < SMALL_BYTES,
        Meaning::Nothing => false,
    };
    // A run that ends so is put in order by the next.
    let has_ended = receipt.is_err();
    match receipt {
        Ok(Receipt::Staged(staged)) => {
            let path = stage.join(&staged.name);
            assert!(fs::read(&path).unwrap() == *wanted, "another content was staged");
            assert_eq!(staged.entry.digest(), Some(Digest::of(wanted)));
            fs::remove_file(path).unwrap();
        }
        // It is looked at once more before it is staged.
        Ok(Receipt::Small(job)) => {
            assert!((job.content.len() as u64) < SMALL_BYTES);
            assert_eq!(job.entry.digest(), Some(Digest::of(wanted)));
            assert!(!is_true || job.content == *wanted);
        }
        Ok(Receipt::Failed(_) | Receipt::Wrong) | Err(_) => {
            let could = matches!(end, Step::End(_) | Step::Complete(_));
            assert!(!(is_true && could), "a sound content was refused");
        }
    }
    let left: io::Result<Vec<_>> = fs::read_dir(stage).unwrap().collect();
    for left in left.unwrap() {
        assert!(has_ended, "{} was left where contents are staged", left.path().display());
        fs::remove_file(left.path()).unwrap();
    }
}

#[test]
fn contents_that_nobody_sends() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (root, state) = (folder.path().join("root"), folder.path().join("state"));
    let layout = Layout { root: &root, state_dir: &state, trash: None, identity: "pod" };
    let side = Side::open(&layout, &Context::system()).unwrap();
    fuzz("steps", 1_000, |dice| one(&side, &state.join("stage"), &root, dice));
}
