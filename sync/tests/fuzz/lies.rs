//! A run between an honest end and one whose messages are falsified.
//!
//! The honest side ends, in one way or another; it writes nothing outside its root nor into what is the engine's own; what it
//! held is there or in its trash; and the next run with an honest peer makes both one again.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use bytes::Bytes;
use sync::{Context, Link, LinkError, OnConflict, OnMassDeletion, Request, StudioSide, run, serve};

use crate::{
    common::{Mishap, Pair, TestLink, links, noise, read, tree, write},
    dice::Dice,
    moves, operations, wire,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Studio,
}

/// What is falsified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    Any,
    /// In the right form.
    Moves,
    /// Likewise.
    Operations,
}

/// Falsifies some of what it sends.
struct Liar<'a> {
    link: TestLink,
    dice: &'a mut Dice,
    /// One message in so many is a lie.
    seldom: usize,
    lies: Lies,
}

impl Link for Liar<'_> {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        let message = match self.lies {
            Lies::Moves => moves::falsify(message, self.dice),
            Lies::Operations => operations::falsify(message, self.dice),
            Lies::Any if self.dice.once_in(self.seldom) => wire::falsify(&message, self.dice),
            Lies::Any => message,
        };
        self.link.send(message)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.link.recv()
    }
}

/// Both sides have changed in every way, some know each other, and a link leads outside.
fn prepare(dice: &mut Dice) -> Pair {
    let pair = Pair::in_memory();
    write(pair.folder.path().join("outside/f"), "precious");
    symlink(pair.folder.path().join("outside"), pair.server("way")).unwrap();
    for name in ["a", "b", "d/large", "d/x", "e/f/g", "m/n/o", "m/p", "q/r"] {
        write(pair.server(name), format!("{name} before"));
    }
    write(pair.server("d/large"), noise(90_000, 1));
    write(pair.server("d/small"), noise(4_000, 3));
    if !dice.once_in(4) {
        pair.sync();
    }
    for (root, who) in [(pair.server(""), "server"), (pair.studio(""), "studio")] {
        write(root.join(format!("new-{who}")), format!("new of the {who}"));
        write(root.join(format!("{who}/deep/x")), noise(3_000, 2));
        write(root.join("b"), format!("b of the {who}"));
    }
    let edited = if dice.once_in(2) { pair.server("d/large") } else { pair.studio("d/large") };
    let mut large = noise(90_000, 1);
    large[45_000] ^= 1;
    write(edited, large);
    let mut small = noise(4_000, 3);
    small.splice(2_000..2_010, *b"edited");
    write(pair.studio("d/small"), small);
    fs::remove_file(pair.server("d/x")).unwrap();
    if pair.studio("a").exists() {
        fs::remove_file(pair.studio("a")).unwrap();
        fs::rename(pair.studio("m"), pair.studio("studio/m")).unwrap();
        fs::rename(pair.server("q"), pair.server("t")).unwrap();
    }
    pair
}

fn contents(root: &std::path::Path) -> BTreeSet<Vec<u8>> {
    tree(root)
        .into_values()
        .filter_map(|thing| match thing {
            crate::common::Thing::File { content, .. } => Some(content),
            crate::common::Thing::Folder | crate::common::Thing::Link(_) => None,
        })
        .collect()
}

pub(crate) fn told_to(victim: Victim, lies: Lies, dice: &mut Dice) {
    let pair = prepare(dice);
    let request = Request {
        on_conflict: *dice.one_of(&[OnConflict::Report, OnConflict::KeepBoth]),
        on_mass_deletion: *dice.one_of(&[OnMassDeletion::Ask, OnMassDeletion::Allow]),
        ..Request::default()
    };
    let root = if victim == Victim::Server { pair.server("") } else { pair.studio("") };
    let owed = contents(&root);
    let seldom = *dice.one_of(&[1, 2, 3, 6]);
    one_run(&pair, victim, &request, dice, (seldom, lies));

    assert_eq!(tree(&pair.folder.path().join("outside")).len(), 1);
    assert_eq!(read(pair.folder.path().join("outside/f")), "precious");
    assert!(!root.join(".atelier-sync").exists(), "a peer wrote into what is the engine's own");
    let mut there = contents(&root);
    there.extend(pair.staged());
    there.extend(if victim == Victim::Server { pair.trash() } else { pair.studio_trash() });
    for content in owed {
        assert!(there.contains(&content), "lost: {:?}", content.escape_ascii().to_string());
    }
    let settle = Request {
        on_conflict: OnConflict::KeepBoth,
        on_mass_deletion: OnMassDeletion::Restore,
        ..Request::default()
    };
    for _ in 0..4 {
        pair.sync_with(&settle);
    }
    pair.assert_settled();
}

fn one_run(
    pair: &Pair,
    victim: Victim,
    request: &Request,
    dice: &mut Dice,
    (seldom, lies): (usize, Lies),
) {
    let (server_link, studio_link) = links(Mishap::default(), Mishap::default());
    let (server_side, studio_side) = (pair.server_side(), pair.studio_side());
    // How either ends is its own matter; that it ends is the test's.
    let serve_with = |side: &StudioSide, link: &mut dyn Link| {
        serve(side, link, &Context::system()).ok();
    };
    std::thread::scope(|scope| match victim {
        Victim::Server => {
            scope.spawn(|| {
                serve_with(&studio_side, &mut Liar { link: studio_link, dice, seldom, lies });
            });
            let mut link = server_link;
            run(&server_side, request, &mut link, &Context::system()).ok();
        }
        Victim::Studio => {
            let studio = studio_side.clone();
            scope.spawn(move || serve_with(&studio, &mut { studio_link }));
            let mut link = Liar { link: server_link, dice, seldom, lies };
            run(&server_side, request, &mut link, &Context::system()).ok();
        }
    });
}
