//! Files that are mostly holes.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    time::{Duration, Instant},
};

use crate::common::Pair;

const TIB: u64 = 1 << 40;
/// Reading or writing a tebibyte takes minutes at the least.
const LIMIT: Duration = Duration::from_secs(20);

fn disk_bytes(path: &std::path::Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[track_caller]
fn assert_same_pieces(pair: &Pair, name: &str, pieces: &[(&[u8], u64)]) {
    for path in [pair.server(name), pair.studio(name)] {
        assert_eq!(fs::metadata(&path).unwrap().len(), TIB);
        assert!(disk_bytes(&path) < 4 << 20, "{} bytes on the disk", disk_bytes(&path));
        let file = File::open(&path).unwrap();
        for (bytes, at) in pieces {
            let mut there = vec![1; bytes.len()];
            file.read_exact_at(&mut there, *at).unwrap();
            assert_eq!(there, *bytes);
        }
    }
}

/// What is in it travels, is hashed and is written; the rest costs nothing, on either side, in any kind of change.
#[test]
fn a_sparse_tebibyte_is_neither_read_nor_written() {
    #[expect(clippy::disallowed_methods, reason = "the limit is the point of the test")]
    let began = Instant::now();
    let pair = Pair::new();
    let file = File::create_new(pair.studio("disk.img")).unwrap();
    file.set_len(TIB).unwrap();
    file.write_all_at(b"partition table", 512).unwrap();
    file.write_all_at(b"in the middle", TIB / 2 + 77).unwrap();
    file.write_all_at(b"end", TIB - 3).unwrap();
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received < 1 << 20, "{}", outcome.stats.bytes_received);
    let before: [(&[u8], u64); 4] = [
        (b"partition table", 512),
        (b"\0\0", 0),
        (b"in the middle", TIB / 2 + 77),
        (b"end", TIB - 3),
    ];
    assert_same_pieces(&pair, "disk.img", &before);
    pair.assert_same_later();
    // An edit, which moves one byte and nothing else; and back from the other side.
    file.write_all_at(b"X", TIB / 4).unwrap();
    pair.sync();
    assert_same_pieces(&pair, "disk.img", &[(b"X", TIB / 4), (b"end", TIB - 3)]);
    let other = File::options().write(true).open(pair.server("disk.img")).unwrap();
    other.write_all_at(b"Y", 3).unwrap();
    pair.sync();
    assert_same_pieces(&pair, "disk.img", &[(b"Y", 3), (b"X", TIB / 4)]);
    // Renamed: found again, and copied without its holes.
    fs::rename(pair.studio("disk.img"), pair.studio("renamed.img")).unwrap();
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received < 10_000, "{}", outcome.stats.bytes_received);
    assert_same_pieces(&pair, "renamed.img", &[(b"Y", 3), (b"X", TIB / 4)]);
    // All of it a hole, and one zero written into it: the same content.
    let file = File::create_new(pair.studio("empty.img")).unwrap();
    file.set_len(TIB).unwrap();
    let file = File::create_new(pair.server("empty.img")).unwrap();
    file.set_len(TIB).unwrap();
    file.write_all_at(&vec![0; 70_000], 3 << 30).unwrap();
    let outcome = pair.sync();
    assert!(outcome.conflicts.is_empty(), "{:?}", outcome.conflicts);
    pair.assert_same_later();
    let took = began.elapsed();
    assert!(took < LIMIT, "{took:?}");
}

/// A peer whose file system takes no file of that length says so, and nothing else suffers.
#[test]
fn a_length_that_the_other_side_can_not_have_is_skipped() {
    let pair = Pair::new();
    let file = File::create_new(pair.studio("huge.img")).unwrap();
    // The largest that this file system takes; another one may take less.
    let mut length = i64::MAX as u64;
    while file.set_len(length).is_err() {
        length /= 2;
    }
    crate::common::write(pair.studio("other"), "x");
    let outcome = pair.sync();
    assert_eq!(crate::common::read(pair.server("other")), "x");
    let came = pair.server("huge.img").exists();
    assert!(came || outcome.skipped.iter().any(|it| it.path.to_string() == "huge.img"));
    if came {
        assert_eq!(fs::metadata(pair.server("huge.img")).unwrap().len(), length);
    }
}
