//! Contents that make a search for moved blocks expensive.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::common::{Pair, noise, write};

const SIZE: usize = 12 << 20;

/// What the sending side, which runs in this thread, takes for an edit of a large file.
fn work(before: &[u8], after: &[u8]) -> Duration {
    let pair = Pair::new();
    write(pair.server("large"), before);
    pair.sync();
    write(pair.server("large"), after);
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
    };
    let began = now();
    pair.sync();
    let took = now().checked_sub(began).unwrap();
    assert!(std::fs::read(pair.studio("large")).unwrap() == after);
    took
}

fn repeat(pattern: &[u8]) -> Vec<u8> {
    pattern.iter().copied().cycle().take(SIZE).collect()
}

/// Blocks that are all alike, nearly alike, or alike in all but their strong hash: a search that tries every candidate at
/// every byte takes hours. The measure is what content takes in which nothing is found at all.
#[test]
fn rsync_217_repetitive_data_stays_within_its_budget_of_work() {
    let nothing_alike = work(&noise(SIZE, 1), &noise(SIZE, 2));
    let limit = nothing_alike * 5 + Duration::from_secs(2);
    let row = b"2024-01-01;0.000000;0.000000;NULL;NULL\n";
    // A sum of bytes and of their positions is blind to these: same weak hash, another content.
    let blind = [[0_u8, 2, 0], [1, 0, 1]].concat();
    for (name, before, after) in [
        ("one byte again and again", repeat(b"a"), repeat(b"a").split_off(1)),
        ("the same row, shifted", repeat(row), [b"x".to_vec(), repeat(row)].concat()),
        ("a short period against another", repeat(b"ab"), repeat(b"aab")),
        ("alike for a weak hash", repeat(&[0, 2, 0]), repeat(&blind)),
        ("zeros against ones", vec![0; SIZE], vec![1; SIZE]),
    ] {
        let took = work(&before, &after);
        assert!(took < limit, "{name}: {took:?}, against {nothing_alike:?}");
    }
}
