//! Clocks that are wrong, on one side or on both, and files with the times that such clocks give.

use std::{
    fs::File,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sync::Clock;

use crate::common::{Pair, read, write};

struct At(u64);

impl Clock for At {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// 1970; 2106, where 32 bits end; and the year 2500.
const TIMES: [u64; 4] = [0, u32::MAX as u64, u32::MAX as u64 + 1, 16_725_225_600];

#[test]
fn a_run_in_1970_or_2106_is_as_any_other() {
    for server in TIMES {
        for studio in TIMES {
            let mut pair = Pair::new();
            write(pair.server("a"), "before");
            write(pair.server("gone"), "deleted there");
            pair.sync();
            pair.server_clock = Arc::new(At(server));
            pair.studio_clock = Arc::new(At(studio));
            write(pair.server("a"), "the server's");
            write(pair.studio("a"), "the studio's");
            std::fs::remove_file(pair.studio("gone")).unwrap();
            let outcome = pair.sync_keeping_both();
            assert_eq!(outcome.kept_both.len() + outcome.conflicts.len(), 1);
            pair.assert_has("the server's");
            pair.assert_has("the studio's");
            assert!(pair.trash().contains(&b"deleted there".to_vec()));
            pair.assert_settled();
        }
    }
}

/// Files from before 1970, of 1970, of 2106 and of later: their contents flow, and what they carry does no harm.
#[test]
fn files_of_any_time_flow() {
    let times: [SystemTime; 5] = [
        UNIX_EPOCH - Duration::from_secs(2_000_000_000),
        UNIX_EPOCH,
        UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX)),
        UNIX_EPOCH + Duration::from_secs(1 << 33),
        UNIX_EPOCH - Duration::from_nanos(1),
    ];
    let pair = Pair::new();
    for (number, time) in times.into_iter().enumerate() {
        for (root, side) in [(pair.server(""), "server"), (pair.studio(""), "studio")] {
            let path = root.join(format!("{side}-{number}"));
            write(&path, format!("{side} {number}"));
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
    }
    pair.sync();
    pair.assert_settled();
    // Edits of the same size that put the same odd time back.
    for (number, time) in times.into_iter().enumerate() {
        let path = pair.studio(&format!("server-{number}"));
        write(&path, format!("SERVER {number}"));
        File::open(&path).unwrap().set_modified(time).unwrap();
    }
    pair.sync();
    for number in 0..times.len() {
        assert_eq!(read(pair.server(&format!("server-{number}"))), format!("SERVER {number}"));
    }
    pair.assert_settled();
}

/// A clock that jumps back and forth between runs.
#[test]
fn jumps_between_runs_lose_nothing() {
    let mut pair = Pair::new();
    write(pair.server("a"), "0");
    pair.sync();
    for (round, time) in
        [4_000_000_000, 0, 1_700_000_000, 10, 9_000_000_000].into_iter().enumerate()
    {
        pair.server_clock = Arc::new(At(time));
        pair.studio_clock = Arc::new(At(TIMES[round % TIMES.len()]));
        write(pair.server("a"), format!("server {round}"));
        write(pair.studio("a"), format!("studio {round}"));
        pair.sync_keeping_both();
        pair.assert_has(format!("server {round}"));
        pair.assert_has(format!("studio {round}"));
        pair.assert_settled();
    }
}
