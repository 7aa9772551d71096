//! Decoders that stand by themselves.

use std::os::fd::AsFd;

use sync::{ConflictToken, Exclusions, LONGEST_NAME, LONGEST_PATH, RelPath, trash};

use crate::dice::Dice;

/// Bytes of which each means something to paths, patterns or JSON.
fn pieces(dice: &mut Dice, longest: usize) -> Vec<u8> {
    const PIECES: [&[u8]; 26] = [
        b"/",
        b".",
        b"..",
        b"a",
        b"*",
        b"**",
        b"!",
        b"#",
        b"\\",
        b"[",
        b"]",
        b"[!a-z]",
        b"?",
        b"{",
        b"}",
        b"\"",
        b":",
        b",",
        b"null",
        b"1e999",
        b"-1",
        b" ",
        b"\0",
        b"\xff",
        b"\n",
        b"\"path\"",
    ];
    let mut bytes = Vec::new();
    for _ in 0..dice.below(longest) {
        if dice.once_in(8) {
            bytes.extend(dice.bytes(300));
        } else {
            bytes.extend(*dice.one_of(&PIECES));
        }
    }
    bytes
}

/// A path is taken when every rule holds, and then is what it was.
pub(crate) fn path(dice: &mut Dice) {
    let bytes = pieces(dice, 40);
    let sound = !bytes.is_empty()
        && bytes.len() <= LONGEST_PATH
        && !bytes.contains(&0)
        && bytes.split(|&byte| byte == b'/').all(|name| {
            !name.is_empty() && name != b"." && name != b".." && name.len() <= LONGEST_NAME
        });
    match RelPath::try_from(bytes.as_slice()) {
        Ok(path) => {
            assert!(sound, "{path:?}");
            assert_eq!(path.as_bytes(), bytes);
            assert!(path.as_path().is_relative());
            let (folder, name) = path.split();
            assert_eq!(RelPath::in_folder(folder.as_ref(), name).unwrap(), path);
            assert!(path.ancestors().all(|folder| path.is_within(&folder)));
        }
        Err(error) => assert!(!sound, "{error}: {:?}", bytes.escape_ascii().to_string()),
    }
}

/// Whatever lies in a trash as a note is read or refused.
pub(crate) fn note(dice: &mut Dice) {
    let mut bytes =
        br#"{"thing":"x-1","path":"YS9i","deleted_at_s":1700000000,"reason":"because"}"#.to_vec();
    match dice.below(3) {
        0 => bytes = pieces(dice, 60),
        1 => {
            let at = dice.below(bytes.len());
            let until = at + dice.below(bytes.len() - at);
            bytes.splice(at..until, pieces(dice, 4));
        }
        _ => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes"), &bytes).unwrap();
    let item = std::fs::File::open(folder.path()).unwrap();
    let notes = trash::read_notes(item.as_fd()).unwrap();
    let again: Vec<String> =
        notes.iter().map(|note| serde_json::to_string(note).unwrap()).collect();
    std::fs::write(folder.path().join("notes"), again.join("\n")).unwrap();
    assert_eq!(trash::read_notes(item.as_fd()).unwrap(), notes);
}

/// Patterns are taken or refused; those that are taken answer for every path.
pub(crate) fn exclusions(dice: &mut Dice) {
    let text = String::from_utf8_lossy(&pieces(dice, 20)).into_owned();
    let Ok(exclusions) = Exclusions::parse(text.lines()) else { return };
    for _ in 0..10 {
        if let Ok(path) = RelPath::try_from(pieces(dice, 10).as_slice())
            && exclusions.matches(&path, true)
        {
            assert!(exclusions.excludes(&path, true), "{path:?} by {text:?}");
        }
    }
}

/// A token is taken when it is one, and then says the same again.
pub(crate) fn token(dice: &mut Dice) {
    let mut text = format!("{:016x}{:016x}", dice.any(), dice.any());
    match dice.below(4) {
        0 => text.truncate(dice.below(33)),
        1 => text.push('0'),
        2 => {
            let other = *dice.one_of(&["g", "G", "A", "é", " ", "\0"]);
            let at = dice.below(text.len());
            text.replace_range(at..=at, other);
        }
        _ => {}
    }
    let sound = text.len() == 32
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match text.parse::<ConflictToken>() {
        Ok(token) => {
            assert!(sound, "{text:?}");
            assert_eq!(token.to_string(), text);
        }
        Err(_) => assert!(!sound, "{text:?}"),
    }
}
