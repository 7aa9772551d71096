//! Edits that leave no trace in size or time.

use std::{fs, os::unix::fs::FileExt};

use crate::common::{Pair, noise, read, write};

/// Two edits of one size as close together as a program can make them, a synchronisation between them: again and again, so that
/// some fall into one tick of the file system's clock.
#[test]
fn unison_664_an_edit_of_equal_size_within_one_tick_is_seen() {
    let pair = Pair::new();
    for round in 0..40 {
        let (first, second) = (format!("{round:04} first!"), format!("{round:04} second"));
        write(pair.server("a"), &first);
        pair.sync();
        fs::write(pair.studio("a"), &second).unwrap();
        pair.sync();
        assert_eq!(read(pair.server("a")), second);
    }
}

/// A program that puts the old time of modification back.
#[test]
fn unison_664_an_edit_that_keeps_size_and_time_is_seen() {
    let pair = Pair::new();
    write(pair.server("a"), "one");
    pair.sync();
    for (round, text) in ["two", "six", "ten"].into_iter().enumerate() {
        let studio = round % 2 == 0;
        let path = if studio { pair.studio("a") } else { pair.server("a") };
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, text).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        pair.sync();
        assert_eq!((read(pair.server("a")), read(pair.studio("a"))), (text.into(), text.into()));
    }
}

/// A file whose change arrives in the very moment in which it was agreed on.
#[test]
fn unison_664_an_edit_right_after_it_was_received_is_seen() {
    let pair = Pair::new();
    for round in 0..20 {
        write(pair.server("a"), format!("from the server {round:03}"));
        pair.sync();
        let edited = format!("in the studio   {round:03}");
        fs::write(pair.studio("a"), &edited).unwrap();
        pair.sync();
        assert_eq!(read(pair.server("a")), edited);
        pair.assert_settled();
    }
}

/// A large one, of which it is known that nobody came in that moment; unless somebody did.
#[test]
fn unison_664_an_edit_of_a_large_file_right_after_it_was_received_is_seen() {
    let pair = Pair::in_memory();
    let mut content = noise(17 << 20, 1);
    for round in 0..4 {
        content[2_000_000] ^= 1;
        write(pair.server("a"), &content);
        pair.sync();
        let file = fs::File::options().write(true).open(pair.studio("a")).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"edited", 1_000_000).unwrap();
        file.set_modified(modified).unwrap();
        pair.sync();
        content = fs::read(pair.server("a")).unwrap();
        assert!(content[1_000_000..].starts_with(b"edited"), "{round}");
        content[1_000_000] = 0;
    }
}
