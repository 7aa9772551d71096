//! Files that change while they are read.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, Ordering},
};

use sync::Request;

use crate::common::{Pair, read, write};

/// Runs `deed` again and again while there are runs, then once more; both sides must end with what it left.
fn while_syncing(pair: &Pair, name: &str, deed: impl Fn(usize) + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deed = &deed;
        scope.spawn(|| {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                deed(round);
                round += 1;
            }
        });
        for _ in 0..25 {
            let (outcome, served) = pair.try_sync(&Request::default());
            outcome.unwrap();
            served.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let last = fs::read(pair.studio(name)).unwrap();
    pair.sync();
    assert!(fs::read(pair.server(name)).unwrap() == last);
    assert!(fs::read(pair.studio(name)).unwrap() == last);
    pair.assert_settled();
}

#[test]
fn a_log_that_grows_and_is_rotated() {
    let pair = Pair::new();
    write(pair.studio("other"), "x");
    write(pair.studio("log"), "begin\n");
    while_syncing(&pair, "log", |round| {
        let mut file = File::options().append(true).open(pair.studio("log")).unwrap();
        writeln!(file, "line {round}").unwrap();
        if round % 5_000 == 4_999 {
            fs::rename(pair.studio("log"), pair.studio("log.1")).unwrap();
            write(pair.studio("log"), "begin\n");
        }
    });
}

#[test]
fn a_file_that_is_truncated_and_written_again() {
    let pair = Pair::new();
    write(pair.studio("other"), "x");
    write(pair.studio("file"), "begin");
    while_syncing(&pair, "file", |round| {
        let mut file = File::create(pair.studio("file")).unwrap();
        for _ in 0..(round % 50) * 100 {
            file.write_all(b"a line of this round\n").unwrap();
        }
    });
}

#[test]
fn a_database_that_is_written_in_place() {
    let pair = Pair::new();
    write(pair.studio("other"), "x");
    write(pair.studio("db"), vec![0; 200_000]);
    while_syncing(&pair, "db", |round| {
        let file = File::options().write(true).open(pair.studio("db")).unwrap();
        file.write_all_at(&round.to_le_bytes(), (round as u64 * 7_919) % 200_000).unwrap();
    });
}

/// Whoever writes beside it and renames, as careful programs do, is never seen with half a content.
#[test]
fn a_file_that_is_replaced_is_whole_at_any_time() {
    let pair = Pair::new();
    write(pair.studio("other"), "x");
    write(pair.studio("state"), "0".repeat(200_000));
    let staged = pair.folder.path().join("staged");
    let is_whole = || {
        let there = read(pair.server("state"));
        let first = there.split(',').next().unwrap().to_owned();
        assert!(there.split(',').all(|number| number == first), "a mixture of contents");
    };
    write(pair.studio("state"), "begin");
    pair.sync();
    while_syncing(&pair, "state", |round| {
        let content = vec![round.to_string(); 1 + (round * 37) % 30_000].join(",");
        fs::write(&staged, content).unwrap();
        fs::rename(&staged, pair.studio("state")).unwrap();
        is_whole();
    });
}
