//! Names of conflict copies.

use std::time::Duration;

use time::{OffsetDateTime, macros::format_description};

use crate::path::LONGEST_NAME;

/// `name.conflict-<label>-<time>`, and a number behind it where that is taken. Long names lose their end.
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
    let ending = format!("{}{stamp}", marker(label));
    let mut number = 1;
    loop {
        let ending = if number == 1 { ending.clone() } else { format!("{ending}-{number}") };
        let room = LONGEST_NAME.saturating_sub(ending.len());
        let mut candidate: Vec<u8> = name.iter().copied().take(room).collect();
        candidate.extend_from_slice(ending.as_bytes());
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

/// What is between a file's name and the time.
pub(crate) fn marker(label: &str) -> String {
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
        assert_eq!(conflict_name(&[b'x'; 255], "s", now, |_| false).len(), 255);
    }
}
