//! What is known already is not read. One test: the system counts what the whole process reads.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::fs;

use common::{Pair, noise, write};

const MIB: u64 = 1 << 20;

/// So far, by this process.
fn read_bytes() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    let line = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn what_is_known_is_not_read() {
    a_large_file_that_just_came_is_not_read_by_the_next_look();
    a_first_copy_reads_files_once();
    what_moved_in_a_large_file_is_read_once_by_each_side();
}

fn what_moved_in_a_large_file_is_read_once_by_each_side() {
    let pair = Pair::in_memory();
    let mut content = noise(32 << 20, 1);
    write(pair.studio("large"), &content);
    pair.sync();
    drop(content.splice(5..5, noise(1_000, 2)));
    content[20 << 20] ^= 1;
    write(pair.studio("large"), &content);
    // Until nobody could write it without a trace.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let before = read_bytes();
    let outcome = pair.sync();
    let read = read_bytes() - before;
    assert!(read < 72 * MIB, "{} MiB", read / MIB);
    assert!(outcome.stats.bytes_received < 100_000, "{} bytes", outcome.stats.bytes_received);
    assert!(fs::read(pair.server("large")).unwrap() == content);
}

fn a_first_copy_reads_files_once() {
    let pair = Pair::in_memory();
    for number in 0..2_000 {
        write(pair.server(&format!("{}/{number}", number % 50)), noise(10_000, number));
    }
    // Until nobody could write one without a trace.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let before = read_bytes();
    pair.sync();
    let read = read_bytes() - before;
    assert!(read < 25 * 1_000_000, "{} MB of 20", read / 1_000_000);
    let before = read_bytes();
    pair.sync();
    let read = read_bytes() - before;
    // What came in the last moment is read once more by the studio.
    assert!(read < 25 * 1_000_000, "{} MB", read / 1_000_000);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let before = read_bytes();
    pair.sync();
    let read = read_bytes() - before;
    assert!(read < 4_000_000, "{} MB, and nothing changed", read / 1_000_000);
}

fn a_large_file_that_just_came_is_not_read_by_the_next_look() {
    let pair = Pair::in_memory();
    let mut content = noise(32 << 20, 1);
    for _ in 0..3 {
        content[1_000_000] ^= 1;
        write(pair.studio("large"), &content);
        pair.sync();
        let before = read_bytes();
        // The studio's own was written just before it was looked at, and is read again; the server's is not.
        pair.sync();
        let read = read_bytes() - before;
        assert!(read < 40 * MIB, "{} MiB", read / MIB);
    }
}
