//! What could be done to those who copied with rsync, by the number of the report: here with messages, from an end that lies.

use std::{fs, os::unix::fs::symlink, thread};

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body, step::What as Step};
use sync::{Context, Error, Link, Outcome, Request, run, serve};

use crate::common::{Mishap, Pair, TestLink, links, read, write};

const PRECIOUS: &str = "precious";

fn say(link: &mut TestLink, body: Body) {
    // The other end may have had enough.
    link.send(pb::Message { body: Some(body) }.encode_to_vec().into()).ok();
}

fn body(message: &[u8]) -> Body {
    match pb::Message::decode(message).unwrap().body.unwrap() {
        Body::Zstd(packed) => {
            body(&zstd::bulk::decompress(&packed, sync::MESSAGE_LIMIT_BYTES).unwrap())
        }
        body => body,
    }
}

/// What a studio sends, and how it ends, when a server asks for a content after `then`.
fn asked_for(pair: &Pair, path: &[u8], then: impl FnOnce()) -> (Vec<u8>, Result<(), Error>) {
    let (mut server, mut studio) = links(Mishap::default(), Mishap::default());
    let side = pair.studio_side();
    thread::scope(|scope| {
        let ended = scope.spawn(move || serve(&side, &mut studio, &Context::system()));
        say(&mut server, Body::Hello(pb::Hello { protocol: 2, ..pb::Hello::default() }));
        while let Ok(Some(message)) = server.recv() {
            if matches!(&body(&message), Body::Listing(listing) if listing.last) {
                break;
            }
        }
        then();
        let wanted = pb::Wanted { path: path.to_vec().into(), ..pb::Wanted::default() };
        say(&mut server, Body::Fetch(pb::Fetch { items: vec![wanted] }));
        say(&mut server, Body::Done(pb::Done {}));
        let mut sent = Vec::new();
        while let Ok(Some(message)) = server.recv() {
            let Body::Stream(stream) = body(&message) else { continue };
            for step in stream.steps {
                if let Some(Step::Data(data)) = step.what {
                    sent.extend(data);
                }
            }
        }
        (sent, ended.join().unwrap())
    })
}

/// What a server makes of a studio that lists this and sends that when it is asked for something.
fn told(pair: &Pair, entries: Vec<pb::Entry>, steps: &[Step]) -> Result<Outcome, Error> {
    let (mut server, mut studio) = links(Mishap::default(), Mishap::default());
    thread::scope(|scope| {
        scope.spawn(move || {
            studio.recv().ok();
            let root = vec![1; 16].into();
            say(&mut studio, Body::Welcome(pb::Welcome { root, ..pb::Welcome::default() }));
            say(
                &mut studio,
                Body::Listing(pb::Listing { entries, last: true, ..pb::Listing::default() }),
            );
            while let Ok(Some(message)) = studio.recv() {
                if matches!(body(&message), Body::Fetch(_)) {
                    let steps = steps.iter().cloned().map(|what| pb::Step { what: Some(what) });
                    say(&mut studio, Body::Stream(pb::Stream { steps: steps.collect() }));
                }
            }
        });
        let outcome =
            run(&pair.server_side(), &Request::default(), &mut server, &Context::system());
        drop(server);
        outcome
    })
}

fn listed(path: &[u8], content: &[u8]) -> pb::Entry {
    pb::Entry {
        path: path.to_vec().into(),
        kind: pb::Kind::File.into(),
        size: content.len() as u64,
        digest: blake3::hash(content).as_bytes().to_vec().into(),
        ..pb::Entry::default()
    }
}

fn content(bytes: &'static [u8]) -> [Step; 3] {
    let data = Step::Data(Bytes::from_static(bytes));
    [Step::Begin(pb::Begin::default()), data, Step::Complete(true)]
}

/// Files beside the root, below a link that is in it, and such as are nobody's business.
#[test]
fn cve_2024_12086_a_server_is_given_nothing_that_is_not_below_the_root() {
    let mut pair = Pair::new();
    pair.exclusions = vec!["secret".to_owned()];
    write(pair.folder.path().join("outside/f"), PRECIOUS);
    symlink(pair.folder.path().join("outside"), pair.studio("way")).unwrap();
    symlink(pair.folder.path().join("outside/f"), pair.studio("link")).unwrap();
    write(pair.studio("secret/f"), PRECIOUS);
    write(pair.studio("a"), "a");
    for path in [
        &b"way/f"[..],
        b"link",
        b"../outside/f",
        b"/etc/passwd",
        b"secret/f",
        b"secret",
        b"a/../way/f",
    ] {
        let (sent, _) = asked_for(&pair, path, || {});
        assert!(sent.is_empty(), "{}: {}", path.escape_ascii(), sent.escape_ascii());
    }
    // What is listed is given.
    let (sent, ended) = asked_for(&pair, b"a", || {});
    assert_eq!((sent.as_slice(), ended.is_ok()), (&b"a"[..], true));
}

/// A file that turns into a link, after it was listed and before it is read.
#[test]
fn cve_2024_12747_a_link_that_came_meanwhile_is_not_followed() {
    let pair = Pair::new();
    write(pair.folder.path().join("outside/f"), PRECIOUS);
    write(pair.studio("a"), "harmless");
    write(pair.studio("d/f"), "harmless");
    let swap_file = || {
        fs::remove_file(pair.studio("a")).unwrap();
        symlink(pair.folder.path().join("outside/f"), pair.studio("a")).unwrap();
    };
    let swap_folder = || {
        fs::remove_dir_all(pair.studio("d")).unwrap();
        symlink(pair.folder.path().join("outside"), pair.studio("d")).unwrap();
    };
    let (sent, ended) = asked_for(&pair, b"a", swap_file);
    assert!(sent.is_empty() && ended.is_ok(), "{}", sent.escape_ascii());
    let (sent, ended) = asked_for(&pair, b"d/f", swap_folder);
    assert!(sent.is_empty() && ended.is_ok(), "{}", sent.escape_ascii());
}

/// A sender that sends more files than it was asked for, to paths of its own choice.
#[test]
fn cve_2022_29154_nothing_is_written_that_was_not_asked_for() {
    let pair = Pair::new();
    write(pair.server("b"), PRECIOUS);
    let put = pb::operation::What::Put(listed(b"", b"evil"));
    let operation = pb::Operation { path: Bytes::from_static(b"b"), what: Some(put) };
    let mut steps = vec![Step::Operation(operation)];
    steps.extend(content(b"evil"));
    assert!(told(&pair, vec![listed(b"a", b"good")], &steps).is_err());
    // What was asked for, and then more.
    let mut steps = content(b"good").to_vec();
    steps.extend(content(b"evil"));
    told(&pair, vec![listed(b"a", b"good")], &steps).ok();
    assert_eq!(read(pair.server("b")), PRECIOUS);
    for (path, thing) in crate::common::tree(&pair.server("")) {
        let crate::common::Thing::File { content, .. } = thing else { panic!("{path:?}") };
        assert!(content == PRECIOUS.as_bytes() || content == b"good", "{path:?}");
    }
}

/// Names that the receiver excludes, in the listing of a sender that does not.
#[test]
fn cve_2017_17434_what_the_receiver_excludes_is_not_written() {
    let mut pair = Pair::new();
    pair.exclusions = vec!["secret".to_owned()];
    write(pair.server("secret/key"), PRECIOUS);
    let folder = pb::Entry {
        kind: pb::Kind::Folder.into(),
        path: Bytes::from_static(b"secret"),
        ..pb::Entry::default()
    };
    let entries = vec![folder, listed(b"secret/key", b"evil"), listed(b"secret/new", b"evil")];
    told(&pair, entries, &content(b"evil")).ok();
    assert_eq!(read(pair.server("secret/key")), PRECIOUS);
    assert!(!pair.server("secret/new").exists());
    assert!(pair.trash().is_empty());
}

/// Digests that are longer than digests are, or shorter: they are neither stored nor compared in part.
#[test]
fn cve_2024_12084_lengths_of_digests_are_what_they_are() {
    for length in [0, 1, 31, 33, 64, 100_000] {
        let pair = Pair::new();
        let mut entry = listed(b"a", b"good");
        let mut digest = entry.digest.to_vec();
        digest.resize(length, 7);
        entry.digest = digest.into();
        let error = told(&pair, vec![entry], &content(b"good")).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{length}: {error}");
        assert!(!pair.server("a").exists());
    }
}
