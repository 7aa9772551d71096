//! A peer that lies, and users who pull the rug away.

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use common::{Mishap, Pair, links, read, tree, write};
use proptest::prelude::*;
use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body};
use sync::{Context, Error, Link, Request, run, serve};

fn encode(body: Body) -> Bytes {
    pb::Message { body: Some(body) }.encode_to_vec().into()
}

fn entry(path: &[u8], kind: pb::Kind) -> pb::Entry {
    pb::Entry {
        path: path.to_vec().into(),
        kind: kind.into(),
        size: 4,
        digest: blake3::hash(b"evil").as_bytes().to_vec().into(),
        target: if kind == pb::Kind::Link { b"/etc".to_vec().into() } else { Bytes::new() },
        ..pb::Entry::default()
    }
}

/// What the server makes of a studio that lists this and then sends the same content for every request.
fn against(pair: &Pair, entries: Vec<pb::Entry>) -> Result<sync::Outcome, Error> {
    sending(pair, entries, &[pb::step::What::Data(b"good"[..].into())])
}

fn sending(
    pair: &Pair,
    entries: Vec<pb::Entry>,
    content: &[pb::step::What],
) -> Result<sync::Outcome, Error> {
    let (mut server_link, mut studio_link) = links(Mishap::default(), Mishap::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            studio_link.recv().ok();
            let welcome = pb::Welcome { root: vec![1; 16].into(), ..pb::Welcome::default() };
            studio_link.send(encode(Body::Welcome(welcome))).ok();
            let listing = pb::Listing { entries, last: true, ..pb::Listing::default() };
            studio_link.send(encode(Body::Listing(listing))).ok();
            while let Ok(Some(_)) = studio_link.recv() {
                let mut steps = vec![pb::step::What::Begin(pb::Begin::default())];
                steps.extend_from_slice(content);
                steps.push(pb::step::What::End(entry(b"a", pb::Kind::File)));
                let steps = steps.into_iter().map(|what| pb::Step { what: Some(what) }).collect();
                if studio_link.send(encode(Body::Stream(pb::Stream { steps }))).is_err() {
                    return;
                }
            }
        });
        let outcome =
            run(&pair.server_side(), &Request::default(), &mut server_link, &Context::system());
        drop(server_link);
        outcome
    })
}

#[test]
fn a_studio_that_names_impossible_paths_is_refused() {
    for path in [
        &b".atelier-sync"[..],
        b".atelier-sync/trash/1-x/thing",
        b"../outside",
        b"/etc/passwd",
        b"a/../../b",
        b"a\0b",
        b"",
        b"a//b",
        &[b'x'; 300],
    ] {
        let pair = Pair::new();
        let error = against(&pair, vec![entry(path, pb::Kind::File)]).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        assert!(tree(pair.folder.path()).into_keys().all(|path| !path.ends_with("outside")));
    }
}

#[test]
fn a_studio_that_puts_files_below_links_is_refused() {
    let pair = Pair::new();
    let entries = vec![entry(b"way", pb::Kind::Link), entry(b"way/cron.d", pb::Kind::File)];
    assert!(matches!(against(&pair, entries), Err(Error::Protocol { .. })));
    assert!(!pair.server("way").exists());
}

#[test]
fn a_content_that_is_not_what_was_announced_is_never_stored() {
    let pair = Pair::new();
    write(pair.server("b"), "mine");
    let error = against(&pair, vec![entry(b"a", pb::Kind::File)]).unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert!(!pair.server("a").exists());
    assert_eq!(read(pair.server("b")), "mine");
}

/// Whatever lengths a peer names, they are refused and not reckoned with.
#[test]
fn impossible_lengths_are_refused() {
    use pb::step::What::{Copy, Data, Zeros};
    let data = || Data(b"good"[..].into());
    let copy = |offset, length| Copy(pb::Copy { offset, length });
    for content in [
        vec![Zeros(u64::MAX)],
        vec![data(), Zeros(u64::MAX)],
        vec![Zeros(u64::MAX), Zeros(u64::MAX), data()],
        vec![data(), Zeros(i64::MAX as u64), Zeros(1)],
        vec![copy(u64::MAX, u64::MAX)],
        vec![data(), copy(0, u64::MAX), copy(u64::MAX, 1)],
    ] {
        for size in [4, 70_000, u64::MAX >> 1] {
            let pair = Pair::new();
            write(pair.server("b"), "mine");
            let listed = pb::Entry { size, ..entry(b"a", pb::Kind::File) };
            let ended = sending(&pair, vec![listed], &content);
            assert!(!pair.server("a").exists(), "{content:?}");
            assert_eq!(read(pair.server("b")), "mine");
            drop(ended);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    /// Rubbish ends a run with an error, on either side, and changes nothing.
    #[test]
    fn rubbish_is_refused(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5), to_studio: bool) {
        let pair = Pair::new();
        write(pair.server("a"), "a");
        write(pair.studio("a"), "a");
        let (mut server_link, mut studio_link) = links(Mishap::default(), Mishap::default());
        let failed = std::thread::scope(|scope| {
            if to_studio {
                scope.spawn(move || {
                    for message in messages {
                        server_link.send(message.into()).ok();
                    }
                });
                serve(&pair.studio_side(), &mut studio_link, &Context::system()).is_err()
            } else {
                scope.spawn(move || {
                    for message in messages {
                        studio_link.send(message.into()).ok();
                    }
                });
                run(&pair.server_side(), &Request::default(), &mut server_link, &Context::system()).is_err()
            }
        });
        prop_assert!(failed);
        prop_assert_eq!(read(pair.server("a")), "a");
        prop_assert_eq!(read(pair.studio("a")), "a");
    }
}

#[test]
fn a_folder_that_turns_into_a_link_leads_nowhere() {
    let pair = Pair::new();
    let outside = pair.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    write(outside.join("f0"), "precious");
    write(pair.server("d/keep"), "x");
    pair.sync();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (folder, aside) = (pair.studio("d"), pair.folder.path().join("aside"));
            while !done.load(Ordering::Relaxed) {
                if fs::rename(&folder, &aside).is_ok() {
                    symlink(&outside, &folder).ok();
                    fs::remove_file(&folder).ok();
                    fs::rename(&aside, &folder).ok();
                }
            }
        });
        for round in 0..30 {
            for number in 0..5 {
                write(pair.server(&format!("d/f{number}")), format!("round {round}"));
            }
            pair.try_sync(&Request::default()).0.ok();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tree(&outside).len(), 1);
    assert_eq!(read(outside.join("f0")), "precious");
}

#[test]
fn whoever_writes_at_the_very_moment_loses_nothing() {
    let pair = Pair::new();
    write(pair.server("a"), "begin");
    pair.sync();
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        // An editor that saves in its own way: a new file, renamed over the old one; only if what it saw is still there.
        let writer = scope.spawn(|| {
            let mut written: Vec<String> = Vec::new();
            let mut last = String::new();
            while !done.load(Ordering::Relaxed) {
                let seen = fs::read_to_string(pair.studio("a")).unwrap_or_default();
                if seen != last && !seen.starts_with("server") && !last.is_empty() {
                    continue;
                }
                let text = format!("studio {}", written.len());
                let new = pair.folder.path().join("new");
                fs::write(&new, &text).unwrap();
                fs::rename(&new, pair.studio("a")).unwrap();
                last.clone_from(&text);
                written.push(text);
            }
            written
        });
        for round in 0..60 {
            write(pair.server("a"), format!("server {round}"));
            let request = Request { on_conflict: sync::OnConflict::KeepBoth, ..Request::default() };
            pair.try_sync(&request).0.ok();
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    // The writer overwrites its own versions itself; the last one is nobody's to lose.
    let last = written.last().unwrap();
    let mut there: Vec<String> = ["", "studio"]
        .iter()
        .flat_map(|_| [pair.server(""), pair.studio("")])
        .flat_map(|root| {
            tree(&root)
                .into_values()
                .filter_map(|thing| match thing {
                    common::Thing::File { content, .. } => String::from_utf8(content).ok(),
                    common::Thing::Folder | common::Thing::Link(_) => None,
                })
                .collect::<Vec<_>>()
        })
        .collect();
    there.extend(
        pair.trash()
            .into_iter()
            .chain(pair.studio_trash())
            .filter_map(|content| String::from_utf8(content).ok()),
    );
    assert!(there.contains(last), "{last} is gone");
}
