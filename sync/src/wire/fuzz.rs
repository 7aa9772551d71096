//! Messages as no engine sends them: they are refused, or what is in them is sound.

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body};

use super::{Pipe, entry, local_entry, one_move, optional_digest, path, proto_entry, root_name};
use crate::{
    Link, LinkError, MESSAGE_LIMIT_BYTES, RelPath,
    fuzz::{Dice, falsify, fuzz},
    index::RESERVED,
};

/// One message, and the end.
struct Once(Option<Bytes>);

impl Link for Once {
    fn send(&mut self, _: Bytes) -> Result<(), LinkError> {
        Err(LinkError::Gone)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        Ok(self.0.take())
    }
}

fn an_entry(dice: &mut Dice) -> pb::Entry {
    pb::Entry {
        path: Bytes::from_static(dice.one_of::<&[u8]>(&[b"a", b"a/b", b"", b"\xff"])),
        kind: *dice.one_of(&[1, 2, 3]),
        size: dice.any() >> dice.below(64),
        digest: vec![7; 32].into(),
        executable: dice.once_in(2),
        target: Bytes::from_static(b"target"),
        modified_ms: -1,
    }
}

fn a_body(dice: &mut Dice) -> Body {
    let paths = || vec![Bytes::from_static(b"a/b"), Bytes::from_static(b"c")];
    let moved = pb::Moved { from: Bytes::from_static(b"a"), to: Bytes::from_static(b"b") };
    match dice.below(6) {
        0 => Body::Hello(pb::Hello {
            protocol: 2,
            base: vec![1; 32].into(),
            root: vec![2; 16].into(),
        }),
        1 => Body::Listing(pb::Listing {
            entries: (0..dice.below(20)).map(|_| an_entry(dice)).collect(),
            gone: paths(),
            moved: vec![moved],
            last: true,
            ..pb::Listing::default()
        }),
        2 => {
            let sketch = Some(pb::Sketch { size: 3_000, blocks: vec![3; 16].into() });
            let basis = vec![4; 32].into();
            let wanted = pb::Wanted { path: Bytes::from_static(b"a"), basis, sketch };
            Body::Fetch(pb::Fetch { items: vec![wanted] })
        }
        3 => Body::Agreed(pb::Agreed {
            entries: vec![an_entry(dice)],
            gone: paths(),
            spelled: paths(),
            ..pb::Agreed::default()
        }),
        4 => {
            let steps = (0..dice.below(5)).map(|_| {
                let what = pb::operation::What::Put(an_entry(dice));
                let operation = pb::Operation { path: Bytes::from_static(b"a"), what: Some(what) };
                pb::Step { what: Some(pb::step::What::Operation(operation)) }
            });
            Body::Stream(pb::Stream { steps: steps.collect() })
        }
        _ => Body::Zstd(vec![5; 40].into()),
    }
}

/// As it travels: plain, packed, packed twice, or packed so that it is far more than it says.
fn a_message(dice: &mut Dice) -> Bytes {
    let encode = |body| pb::Message { body: Some(body) }.encode_to_vec();
    let pack = |plain: &[u8]| encode(Body::Zstd(zstd::bulk::compress(plain, 1).unwrap().into()));
    let body = a_body(dice);
    let plain: Bytes = encode(body).into();
    match dice.below(8) {
        0 => pack(&vec![0; *dice.one_of(&[MESSAGE_LIMIT_BYTES, 40 << 20])]).into(),
        1 => pack(&pack(&plain)).into(),
        2 => pack(&falsify(&plain, dice)).into(),
        3 => {
            let mut packed = pack(&plain);
            let at = dice.below(packed.len());
            packed[at] ^= 1 << dice.below(8);
            packed.into()
        }
        4 => plain,
        5 => dice.bytes(300).into(),
        _ => falsify(&plain, dice),
    }
}

fn check_path(bytes: &[u8]) {
    if let Ok(path) = path(bytes) {
        assert_eq!(path.as_bytes(), bytes);
        assert!(path.as_path().is_relative());
        let reserved = RelPath::try_from(RESERVED).unwrap();
        assert!(!path.is_within(&reserved), "{path:?}");
    }
}

fn check_entry(told: &pb::Entry) {
    check_path(&told.path);
    if let Ok((path, it)) = entry(told) {
        let again = proto_entry(&path, &it, told.modified_ms);
        assert_eq!(entry(&again).unwrap(), (path, it));
    }
    if let Ok(entry) = local_entry(told) {
        assert!(i64::try_from(entry.size()).is_ok());
    }
}

fn check(body: &Body) {
    match body {
        Body::Hello(hello) => {
            assert!(optional_digest(&hello.base).is_err() || matches!(hello.base.len(), 0 | 32));
        }
        Body::Welcome(welcome) => {
            assert_eq!(root_name(&welcome.root).is_ok(), welcome.root.len() == 16);
        }
        Body::Listing(listing) => {
            listing.entries.iter().for_each(check_entry);
            listing.gone.iter().for_each(|path| check_path(path));
            for moved in &listing.moved {
                assert_eq!(
                    one_move(moved).is_ok(),
                    path(&moved.from).is_ok() && path(&moved.to).is_ok()
                );
            }
        }
        Body::Fetch(fetch) => fetch.items.iter().for_each(|item| check_path(&item.path)),
        Body::Agreed(agreed) => {
            agreed.entries.iter().for_each(check_entry);
            agreed.gone.iter().chain(&agreed.spelled).for_each(|path| check_path(path));
        }
        Body::Stream(_) | Body::Results(_) | Body::Done(_) => {}
        Body::Zstd(_) => panic!("a message that is packed still"),
    }
}

#[test]
fn messages_from_anywhere() {
    fuzz("messages", 5_000, |dice| {
        let message = a_message(dice);
        let length = message.len();
        let mut link = Once(Some(message));
        let mut pipe = Pipe::new(&mut link);
        if let Ok(body) = pipe.recv() {
            assert!(
                pb::Message { body: Some(body.clone()) }.encoded_len() <= 2 * MESSAGE_LIMIT_BYTES
            );
            assert_eq!(pipe.received_bytes(), length as u64);
            check(&body);
        }
        assert!(pipe.recv().is_err());
    });
}
