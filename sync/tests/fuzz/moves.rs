//! Lies about moves and about folders that are gone as a whole, in the right form: of what is no folder, to where something is, into
//! each other, into what is the engine's own, twice, and by the thousand.

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body, operation::What as Do, step::What as Step};

use crate::dice::Dice;

const PATHS: [&[u8]; 24] = [
    b"a",
    b"b",
    b"d",
    b"d/large",
    b"d/x",
    b"e",
    b"e/f",
    b"e/f/g",
    b"e/f/new",
    b"m",
    b"m/n",
    b"m/new",
    b"studio",
    b"studio/m",
    b"server",
    b"q",
    b"t",
    b"way",
    b"way/f",
    b"new",
    b"new/deeper",
    b".atelier-sync",
    b".atelier-sync/stage",
    b"../outside",
];

pub(crate) fn path(dice: &mut Dice) -> Bytes {
    let path: &'static [u8] = dice.one_of::<&[u8]>(&PATHS);
    Bytes::from_static(path)
}

fn moves(dice: &mut Dice) -> Vec<pb::Moved> {
    if dice.once_in(8) {
        let number = *dice.one_of(&[1_000, 12_000]);
        let from = path(dice);
        let to = |number: usize| format!("many-{number}/{number}").into();
        return (0..number)
            .map(|number| pb::Moved { from: from.clone(), to: to(number) })
            .collect();
    }
    (0..=dice.below(4)).map(|_| pb::Moved { from: path(dice), to: path(dice) }).collect()
}

fn gone(dice: &mut Dice) -> Vec<Bytes> {
    if dice.once_in(8) {
        let number = *dice.one_of(&[1_000, 12_000]);
        return (0..number).map(|number| format!("many-{number}").into()).collect();
    }
    (0..dice.below(3)).map(|_| path(dice)).collect()
}

/// What a message says.
pub(crate) fn body(message: &[u8]) -> Option<Body> {
    let decode = |bytes: &[u8]| pb::Message::decode(bytes).ok().and_then(|message| message.body);
    match decode(message) {
        Some(Body::Zstd(packed)) => {
            let plain = zstd::bulk::decompress(&packed, sync::MESSAGE_LIMIT_BYTES).unwrap();
            decode(&plain)
        }
        body => body,
    }
}

/// The message with some more moves or folders gone, or fewer.
pub(crate) fn falsify(message: Bytes, dice: &mut Dice) -> Bytes {
    let body = body(&message);
    let body = match body {
        Some(Body::Welcome(welcome)) if dice.once_in(4) => {
            Body::Welcome(pb::Welcome { changes_only: !welcome.changes_only, ..welcome })
        }
        Some(Body::Listing(mut listing)) => {
            if dice.once_in(3) {
                listing.moved.clear();
            }
            listing.moved.extend(moves(dice));
            if dice.once_in(3) {
                listing.gone_trees.clear();
            }
            listing.gone_trees.extend(gone(dice));
            Body::Listing(listing)
        }
        Some(Body::Stream(mut stream)) => {
            for pb::Moved { from, to } in moves(dice) {
                let operation = pb::Operation { path: to, what: Some(Do::MoveFolder(from)) };
                let step = pb::Step { what: Some(Step::Operation(operation)) };
                stream.steps.insert(0, step);
            }
            for path in gone(dice) {
                let operation = pb::Operation { path, what: Some(Do::DeleteTree(true)) };
                let step = pb::Step { what: Some(Step::Operation(operation)) };
                stream.steps.insert(0, step);
            }
            Body::Stream(stream)
        }
        Some(Body::Agreed(mut agreed)) => {
            let spelled = moves(dice).into_iter().map(|moved| moved.to);
            if dice.once_in(2) {
                agreed.spelled.clear();
            }
            agreed.spelled.extend(spelled.take(dice.below(4)));
            agreed.except.extend(gone(dice));
            Body::Agreed(agreed)
        }
        _ => return message,
    };
    pb::Message { body: Some(body) }.encode_to_vec().into()
}
