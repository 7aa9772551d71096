//! Edits of small files travel as the way from what the server has, and nothing that goes wrong with that is taken for them.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::fs;

use bytes::Bytes;
use common::{Mishap, Pair, TestLink, links, noise, tree, write};
use prost::Message as _;
use proto::sync::v1::{Message, Sketch, message::Body};
use sync::{Context, Link, LinkError, MESSAGE_LIMIT_BYTES, Outcome, Request, run, serve};

const FILES: u64 = 300;

fn name(number: u64) -> String {
    format!("folder/{number:03}")
}

fn size(number: u64) -> usize {
    3_000 + usize::try_from(number).unwrap() * 7
}

/// Files that both sides have, each of which the studio then edits.
fn edited() -> Pair {
    let pair = Pair::in_memory();
    for number in 0..FILES {
        write(pair.server(&name(number)), noise(size(number), number));
    }
    pair.sync();
    for number in 0..FILES {
        let mut content = noise(size(number), number);
        match number % 4 {
            0 => drop(content.splice(1_000..1_000, *b"inserted")),
            1 => drop(content.splice(1_000..1_100, [])),
            2 => content[1_000] ^= 1,
            _ => content.extend(b"appended"),
        }
        write(pair.studio(&name(number)), content);
    }
    pair
}

#[test]
fn an_edit_of_a_small_file_costs_a_block() {
    let pair = edited();
    let outcome = pair.sync();
    assert_eq!(outcome.server_changes.len(), usize::try_from(FILES).unwrap());
    let a_file = outcome.stats.bytes_received / FILES;
    assert!(a_file < 700, "{a_file}");
    pair.assert_settled();
}

#[test]
fn versions_that_have_nothing_in_common_travel_whole() {
    let pair = edited();
    for number in 0..FILES {
        write(pair.studio(&name(number)), noise(3_000, 1_000 + number));
    }
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received > 3_000 * FILES);
    pair.assert_settled();
}

/// Changes the sketches that the server sends.
struct Spoiling<F> {
    link: TestLink,
    spoil: F,
}

impl<F: Fn(&mut Sketch) + Send> Link for Spoiling<F> {
    fn send(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        let mut message = Message::decode(bytes.clone()).unwrap();
        if let Some(Body::Zstd(packed)) = &message.body {
            let plain = zstd::bulk::decompress(packed, MESSAGE_LIMIT_BYTES).unwrap();
            message = Message::decode(plain.as_slice()).unwrap();
        }
        let Some(Body::Fetch(fetch)) = &mut message.body else { return self.link.send(bytes) };
        for sketch in fetch.items.iter_mut().filter_map(|item| item.sketch.as_mut()) {
            (self.spoil)(sketch);
        }
        self.link.send(message.encode_to_vec().into())
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.link.recv()
    }
}

fn spoilt(pair: &Pair, spoil: impl Fn(&mut Sketch) + Send) -> Outcome {
    let (server_link, mut studio_link) = links(Mishap::default(), Mishap::default());
    let (side, studio) = (pair.server_side(), pair.studio_side());
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || serve(&studio, &mut studio_link, &Context::system()));
        let mut link = Spoiling { link: server_link, spoil };
        let outcome = run(&side, &Request::default(), &mut link, &Context::system()).unwrap();
        drop(link);
        serving.join().unwrap().unwrap();
        outcome
    })
}

/// As blocks with the same hash would.
#[test]
fn a_wrong_way_is_noticed_and_the_content_comes_whole() {
    let pair = edited();
    let before = tree(&pair.studio(""));
    let outcome = spoilt(&pair, |sketch| {
        let mut blocks = sketch.blocks.to_vec();
        let (first, second) = blocks.split_at_mut(4);
        first.swap_with_slice(&mut second[..4]);
        sketch.blocks = blocks.into();
    });
    assert_eq!(outcome.skipped.len(), 0, "{:?}", outcome.skipped);
    assert_eq!(outcome.server_changes.len(), usize::try_from(FILES).unwrap());
    assert!(tree(&pair.server("")) == before);
    pair.assert_settled();
}

#[test]
fn senseless_sketches_are_as_good_as_none() {
    let spoils: [fn(&mut Sketch); 5] = [
        |sketch| sketch.blocks = Bytes::new(),
        |sketch| sketch.blocks = vec![7; 500_000].into(),
        |sketch| sketch.size = 0,
        |sketch| sketch.size = u64::MAX,
        |sketch| sketch.size += 5_000,
    ];
    let pair = edited();
    for (salt, spoil) in (0..).zip(spoils) {
        let path = pair.studio(&name(3));
        let mut content = fs::read(&path).unwrap();
        content[2_000] ^= 1 << salt;
        write(&path, &content);
        let outcome = spoilt(&pair, spoil);
        assert_eq!(outcome.skipped.len(), 0, "{:?}", outcome.skipped);
        assert!(fs::read(pair.server(&name(3))).unwrap() == content);
    }
    pair.assert_settled();
}
