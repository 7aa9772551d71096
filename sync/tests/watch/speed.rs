//! A look where nothing changed costs nothing, however much there is.

#![expect(clippy::disallowed_methods, reason = "a stopwatch")]

use std::time::Instant;

use crate::{
    common::{Pair, write},
    full_looks, watched,
};

const FOLDERS: usize = 300;

#[test]
fn where_nothing_changed_nothing_is_looked_at() {
    let pair = watched(Pair::in_memory());
    for number in 0..FOLDERS * 10 {
        write(pair.server(&format!("d{}/f{number}", number / 10)), "x");
    }
    pair.sync();
    for _ in 0..3 {
        // What was written in the last moment is read again.
        pair.sync();
    }
    let before = full_looks(&pair);
    let began = Instant::now();
    let outcome = pair.sync();
    let took = began.elapsed();
    assert_eq!(full_looks(&pair), before);
    assert_eq!(outcome.stats.server_entries, (FOLDERS * 11) as u64);
    assert_eq!(outcome.stats.studio_entries, (FOLDERS * 11) as u64);
    assert!(outcome.stats.bytes_sent + outcome.stats.bytes_received < 1_024, "{outcome:?}");
    println!("watched, nothing changed: {took:?}");
}
