//! A server that tells a studio to do anything, in the right form: whatever is there, in any order, also twice, with contents
//! that are what was announced and with others.

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body, operation::What as Do, step::What as Step};

use crate::{common::noise, dice::Dice, moves};

/// Most operations that are told beside the true ones.
const MOST: usize = 12;

fn entry(content: &[u8], dice: &mut Dice) -> pb::Entry {
    pb::Entry {
        kind: pb::Kind::File.into(),
        size: content.len() as u64,
        digest: blake3::hash(content).as_bytes().to_vec().into(),
        executable: dice.once_in(4),
        modified_ms: *dice.one_of(&[-1, 0, 1_700_000_000_000]),
        ..pb::Entry::default()
    }
}

/// Of those that [`crate::lies`] prepares, or new.
fn content(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => noise(90_000, 1),
        1 => b"a before".to_vec(),
        2 => noise(3_000, dice.any()),
        _ => Vec::new(),
    }
}

fn operation(what: Do, dice: &mut Dice) -> pb::Step {
    let operation = pb::Operation { path: moves::path(dice), what: Some(what) };
    pb::Step { what: Some(Step::Operation(operation)) }
}

/// One operation, with its content.
fn steps(dice: &mut Dice) -> Vec<pb::Step> {
    let step = |what| pb::Step { what: Some(what) };
    let what = match dice.below(9) {
        0 => Do::MakeFolder(true),
        1 | 2 => Do::Delete(true),
        3 => Do::SetExecutable(dice.once_in(2)),
        4 => Do::Link(Bytes::from_static(dice.one_of::<&[u8]>(&[b"a", b"..", b"/etc"]))),
        5 => Do::MoveFolder(moves::path(dice)),
        6 => {
            let entry = Some(entry(&content(dice), dice));
            Do::PutLocal(pb::Local { source: moves::path(dice), entry })
        }
        _ => {
            let content = content(dice);
            let announced = entry(&content, dice);
            let basis = if dice.once_in(3) { announced.digest.clone() } else { Bytes::new() };
            let begin = pb::Begin { basis, sketched: dice.once_in(8) };
            let mut steps = vec![operation(Do::Put(announced), dice), step(Step::Begin(begin))];
            if dice.once_in(4) {
                let copy = pb::Copy { offset: 0, length: content.len() as u64 };
                steps.push(step(Step::Copy(copy)));
            } else {
                steps.extend(
                    content
                        .chunks(60_000)
                        .map(|piece| step(Step::Data(Bytes::copy_from_slice(piece)))),
                );
            }
            if dice.once_in(8) {
                steps.push(step(Step::Data(Bytes::from_static(b"more"))));
            }
            steps.push(step(Step::Complete(true)));
            return steps;
        }
    };
    vec![operation(what, dice)]
}

/// What begins a sequence of steps begins with others.
pub(crate) fn falsify(message: Bytes, dice: &mut Dice) -> Bytes {
    let Some(Body::Stream(mut stream)) = moves::body(&message) else { return message };
    let begins = matches!(
        stream.steps.first(),
        Some(pb::Step { what: Some(Step::Operation(_) | Step::Commit(_)) })
    );
    if begins {
        let mut told = Vec::new();
        for _ in 0..=dice.below(MOST) {
            told.extend(steps(dice));
            if dice.once_in(6) {
                told.push(pb::Step { what: Some(Step::Commit(dice.once_in(2))) });
            }
        }
        told.append(&mut stream.steps);
        stream.steps = told;
    }
    let message = pb::Message { body: Some(Body::Stream(stream)) }.encode_to_vec();
    assert!(message.len() <= sync::MESSAGE_LIMIT_BYTES, "a liar keeps to what the link allows");
    message.into()
}
