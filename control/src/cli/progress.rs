//! How a task goes, step by step: bars on a screen, a line for each change elsewhere. Always beside the answer.

use std::{collections::BTreeMap, io::Write, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{
    client::Client,
    error::CliError,
    events::Events,
    output::{Output, harmless},
    transfer::Transfers,
};

enum Shown {
    /// Programs read the answer, not its way.
    Nothing,
    Lines,
    Bars(MultiProgress, BTreeMap<String, ProgressBar>),
}

impl Shown {
    fn of(output: &Output<'_>) -> Self {
        match (output.json, output.screen) {
            (true, _) => Self::Nothing,
            (false, false) => Self::Lines,
            (false, true) => Self::Bars(MultiProgress::new(), BTreeMap::new()),
        }
    }

    fn step(&mut self, event: &Value, err: &mut (dyn Write + Send)) -> Result<(), CliError> {
        let text =
            |name: &str| harmless(event.get(name).and_then(Value::as_str).unwrap_or_default());
        let (step, status, message) = (text("step"), text("status"), text("message"));
        match self {
            Self::Nothing => {}
            Self::Lines => {
                let line = line(&step, &status, &message);
                writeln!(err, "{line}").map_err(CliError::io("can't write to stderr"))?;
            }
            Self::Bars(screen, bars) => {
                let bar = bars.entry(step.clone()).or_insert_with(|| {
                    let bar = screen.add(ProgressBar::new_spinner());
                    bar.set_style(style("{spinner} {prefix:12} {wide_msg} {elapsed:>4}"));
                    bar.set_prefix(step);
                    bar.enable_steady_tick(Duration::from_millis(100));
                    bar
                });
                match status.as_str() {
                    "done" => end(bar, '✓', message),
                    "failed" => end(bar, '✗', message),
                    _ => bar.set_message(message),
                }
            }
        }
        Ok(())
    }

    /// Steps that did not end stay as they were last.
    fn end(&mut self) {
        if let Self::Bars(_, bars) = self {
            bars.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}

fn end(bar: &ProgressBar, mark: char, message: String) {
    bar.set_style(style(&format!("{mark} {{prefix:12}} {{wide_msg}} {{elapsed:>4}}")));
    bar.abandon_with_message(message);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are written here")
}

fn line(step: &str, status: &str, message: &str) -> String {
    let ends = if message.is_empty() { String::new() } else { format!(": {message}") };
    match status {
        // What goes on is said by its message alone.
        "progress" => format!("{step}{ends}"),
        _ => format!("{step} {status}{ends}"),
    }
}

/// Sees a task to its end, for at most `longest`, and shows its steps. The task as it ended, well or not.
pub(super) async fn follow(
    client: &Client,
    task: &str,
    longest: Duration,
    output: &mut Output<'_>,
) -> Result<Value, CliError> {
    let mut shown = Shown::of(output);
    let screen = match &shown {
        Shown::Bars(screen, _) => Some(screen.clone()),
        Shown::Nothing | Shown::Lines => None,
    };
    let mut transfers = Transfers::of(output.json, screen);
    let ended = tokio::time::timeout(longest, async {
        let mut events = Events::new(client, &["tasks", task, "events"]);
        loop {
            let event = events.next().await?;
            match event.name.as_str() {
                "progress" => transfers.tell(&event.json()?, output.err)?,
                "step" => shown.step(&event.json()?, output.err)?,
                "end" => return event.json(),
                _ => {}
            }
        }
    });
    let ended = ended.await;
    transfers.end();
    shown.end();
    ended.unwrap_or_else(|_| {
        Err(CliError::Failed {
            why: format!(
                "task {task} goes on after {} s; nothing was cancelled",
                longest.as_secs()
            ),
        })
    })
}

/// An error, unless the task ended well.
pub(super) fn succeeded(task: &Value) -> Result<(), CliError> {
    match task.get("state").and_then(Value::as_str) {
        Some("succeeded") => Ok(()),
        Some("cancelled") => Err(CliError::Failed { why: "it was cancelled".into() }),
        _ => {
            let why = task.get("failure").and_then(Value::as_str).unwrap_or("the task failed");
            Err(CliError::Failed { why: harmless(why) })
        }
    }
}
