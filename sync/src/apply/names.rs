//! Names of conflict copies.

use std::time::Duration;

use time::{OffsetDateTime, macros::format_description};

use crate::path::LONGEST_NAME;

/// Bytes of a time such as `20231114T221320Z`.
const TIME_BYTES: usize = 16;
/// Room for a number behind the time.
const NUMBER_BYTES: usize = 4;
const MARK: &[u8] = b".conflict-";

/// `name.conflict-<label>-<time>`, and a number behind it where that is taken. Long names lose their end, and a copy's name
/// what it has of an earlier conflict.
pub(crate) fn conflict_name(
    name: &[u8],
    label: &str,
    now: Duration,
    taken: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let stamp = time
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .expect("every part of the time is there");
    let mut begin = copy_prefix(name, label);
    begin.extend_from_slice(stamp.as_bytes());
    let mut number = 1;
    loop {
        let mut candidate = begin.clone();
        if number > 1 {
            candidate.extend_from_slice(format!("-{number}").as_bytes());
        }
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

/// What the names of all copies of `name` begin with.
pub(crate) fn copy_prefix(name: &[u8], label: &str) -> Vec<u8> {
    let marker = marker(label);
    let original = original(name);
    let room = LONGEST_NAME - marker.len() - TIME_BYTES - NUMBER_BYTES;
    let mut end = room.min(original.len());
    // Not within a character.
    while end > 0 && original.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    let mut prefix = original.get(..end).unwrap_or_default().to_vec();
    prefix.extend_from_slice(marker.as_bytes());
    prefix
}

/// The name without the marks of an earlier conflict: copies of copies are copies of the first.
fn original(name: &[u8]) -> &[u8] {
    let Some(at) = name.windows(MARK.len()).position(|window| window == MARK) else { return name };
    let (stem, ending) = name.split_at(at);
    // A number may be behind the time.
    let end = match ending.iter().rposition(|&byte| byte == b'-') {
        Some(at) if !ending.ends_with(b"Z") => at,
        Some(_) | None => ending.len(),
    };
    let (ending, number) = ending.split_at(end);
    let time = ending.len().checked_sub(TIME_BYTES).and_then(|from| ending.get(from..));
    let is_time = number.iter().skip(1).all(u8::is_ascii_digit)
        && time.is_some_and(|time| {
            time.iter().enumerate().all(|(at, byte)| match at {
                8 => *byte == b'T',
                15 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            })
        });
    if is_time && !stem.is_empty() { stem } else { name }
}

/// What is between a file's name and the time.
fn marker(label: &str) -> String {
    let plain: String = label
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' })
        .take(32)
        .collect();
    format!(".conflict-{plain}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are_and_fit() {
        let now = Duration::from_secs(1_700_000_000);
        let name = conflict_name(b"a.txt", "lab/1", now, |_| false);
        assert_eq!(name, b"a.txt.conflict-lab-1-20231114T221320Z");
        let second = conflict_name(b"a.txt", "lab/1", now, |candidate| candidate == name);
        assert!(second.ends_with(b"Z-2"));
        assert_eq!(conflict_name(&[b'x'; 255], "s", now, |_| false).len(), 255 - NUMBER_BYTES);
        let long = "ä".repeat(127);
        let long = conflict_name(long.as_bytes(), "s", now, |_| false);
        assert!(std::str::from_utf8(&long).is_ok());
        assert_eq!(conflict_name(&name, "lab/1", now, |_| false), name);
        assert_eq!(conflict_name(&second, "lab/1", now, |_| false), name);
        let renamed = conflict_name(b"a.conflict-s-20231114T221320Z.txt", "s", now, |_| false);
        assert!(renamed.starts_with(b"a.conflict-s-20231114T221320Z.txt.conflict-s-"));
        let unlike = conflict_name(b"a.conflict-of-interest", "s", now, |_| false);
        assert!(unlike.starts_with(b"a.conflict-of-interest.conflict-s-"));
    }
}
