//! How far files are that move: `progress` events, in words and as bars.

use std::{collections::BTreeMap, io::Write, time::Duration};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::{error::CliError, output::harmless};

/// Between two lines where there is no screen.
const LINE_EVERY: Duration = Duration::from_secs(2);

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// So that people can read it.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let text = HumanBytes(bytes).to_string();
    let Some((count, unit)) = text.split_once(' ') else { return text };
    // 2.00 KiB: one digit is enough.
    let count = count.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(count);
    format!("{count} {unit}")
}

/// In one line.
pub(super) fn words(progress: &Value) -> String {
    let (done, all) = (number(progress, "files_done"), number(progress, "files"));
    if all == 0 {
        return "looking for what differs".into();
    }
    let mut words = format!(
        "{done} of {all} files, {} of {}, {}/s",
        size(number(progress, "bytes")),
        size(number(progress, "bytes_expected")),
        size(number(progress, "bytes_per_s")),
    );
    if let Some(file) = in_flight(progress) {
        words.push_str("; ");
        words.push_str(&file);
    }
    words
}

fn in_flight(progress: &Value) -> Option<String> {
    let file = progress.get("in_flight").filter(|file| !file.is_null())?;
    let path = harmless(file.get("path").and_then(Value::as_str).unwrap_or_default());
    let (done, all) = (number(file, "bytes"), number(file, "size"));
    Some(format!("{path} ({} of {})", size(done), size(all)))
}

/// Files on their way, by mount.
pub(super) enum Transfers {
    /// JSON, a line each.
    Json,
    Lines(BTreeMap<String, Instant>),
    Bars(MultiProgress, BTreeMap<String, ProgressBar>),
}

impl Transfers {
    pub(super) fn of(json: bool, screen: Option<MultiProgress>) -> Self {
        match (json, screen) {
            (true, _) => Self::Json,
            (false, None) => Self::Lines(BTreeMap::new()),
            (false, Some(screen)) => Self::Bars(screen, BTreeMap::new()),
        }
    }

    pub(super) fn tell(
        &mut self,
        progress: &Value,
        err: &mut (dyn Write + Send),
    ) -> Result<(), CliError> {
        let mount = harmless(progress.get("mount").and_then(Value::as_str).unwrap_or_default());
        let failed = CliError::io("can't write to stderr");
        match self {
            Self::Json => writeln!(err, "{progress}").map_err(failed),
            Self::Lines(last) => {
                let now = Instant::now();
                let is_early = last.get(&mount).is_some_and(|last| now - *last < LINE_EVERY);
                if is_early {
                    return Ok(());
                }
                last.insert(mount.clone(), now);
                writeln!(err, "{mount}: {}", words(progress)).map_err(failed)
            }
            Self::Bars(screen, bars) => {
                let bar = bars.entry(mount.clone()).or_insert_with(|| {
                    let bar = screen.add(ProgressBar::new(0));
                    let template = "{spinner} {prefix:12} {bar:20} {bytes} of {total_bytes} {binary_bytes_per_sec} {wide_msg}";
                    let style = ProgressStyle::with_template(template);
                    bar.set_style(style.expect("the template is written here"));
                    bar.set_prefix(mount);
                    bar.enable_steady_tick(Duration::from_millis(100));
                    bar
                });
                bar.set_length(number(progress, "bytes_expected"));
                bar.set_position(number(progress, "bytes"));
                let (done, all) = (number(progress, "files_done"), number(progress, "files"));
                let file = in_flight(progress).unwrap_or_default();
                bar.set_message(if all == 0 {
                    "looking for what differs".to_owned()
                } else {
                    format!("{done} of {all} files  {file}")
                });
                Ok(())
            }
        }
    }

    /// The answer says what came of them.
    pub(super) fn end(&mut self) {
        if let Self::Bars(_, bars) = self {
            bars.values().for_each(ProgressBar::finish_and_clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_a_line_with_what_is_in_flight() {
        let progress = json!({
            "mount": "code", "files_done": 3, "files": 10, "bytes": 1536, "bytes_expected": 4096, "bytes_per_s": 512,
            "in_flight": {"path": "a\u{1b}[2Jb", "bytes": 1024, "size": 2048},
        });
        assert_eq!(
            words(&progress),
            "3 of 10 files, 1.5 KiB of 4.0 KiB, 512 B/s; a\u{fffd}[2Jb (1.0 KiB of 2.0 KiB)"
        );
        assert_eq!(words(&json!({"files": 0})), "looking for what differs");
        let (mut lines, mut said) = (Transfers::of(false, None), Vec::new());
        for _ in 0..100 {
            lines.tell(&progress, &mut said).unwrap();
        }
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.lines().count(), 1, "not a line each time");
    }
}
