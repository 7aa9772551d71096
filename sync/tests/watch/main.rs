//! Looking only where something changed: finds what a look at everything finds, and says when it can't.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod blind;
mod edits;
mod first;
mod random;
mod speed;

use std::sync::Arc;

use common::Pair;
use sync::{Sight, Watch};

/// Both sides watched.
fn watched(mut pair: Pair) -> Pair {
    pair.server_watch = Some(Arc::new(Watch::new(|| {})));
    pair.studio_watch = Some(Arc::new(Watch::new(|| {})));
    pair
}

fn sights(pair: &Pair) -> [Sight; 2] {
    [&pair.server_watch, &pair.studio_watch].map(|watch| watch.as_ref().unwrap().sight())
}

fn full_looks(pair: &Pair) -> u64 {
    [&pair.server_watch, &pair.studio_watch]
        .iter()
        .map(|watch| watch.as_ref().unwrap().looks().1)
        .sum()
}

/// Looks at everything, on both sides, beside the watches.
#[track_caller]
fn assert_nothing_was_missed(pair: &mut Pair) {
    let watches = (pair.server_watch.take(), pair.studio_watch.take());
    pair.assert_settled();
    (pair.server_watch, pair.studio_watch) = watches;
}
