//! Metrics for Prometheus, in its text format (version 0.0.4). Administrators only: a scraper shows an API key as its bearer token.

use std::fmt::{self, Write};

use axum::{
    extract::State as Extract,
    http::header,
    response::{IntoResponse as _, Response},
};

use super::{State, caller::Caller, problem::Result};
use crate::{
    app::{
        AppError,
        sync::{BUCKETS_S, Counts},
    },
    domain::mounts::SyncCause,
};

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// At `/metrics`, beside the API: where scrapers look.
pub(super) async fn get_metrics(
    Extract(services): Extract<State>,
    Caller(who): Caller,
) -> Result<Response> {
    who.require_admin().map_err(AppError::from)?;
    let (counts, running) = services.sync.counts();
    let counts =
        SyncCause::ALL.map(|cause| (cause, counts.get(&cause).copied().unwrap_or_default()));
    let mut text = String::new();
    synchronisation(&mut text, &counts, running)
        .map_err(|error| AppError::internal("writing metrics", error))?;
    Ok(([(header::CONTENT_TYPE, FORMAT)], text).into_response())
}

/// One kind of number, with its lines.
fn family(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    lines: impl IntoIterator<Item = (String, u64)>,
) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    for (labels, value) in lines {
        writeln!(text, "{name}{labels} {value}")?;
    }
    Ok(())
}

fn synchronisation(
    text: &mut String,
    counts: &[(SyncCause, Counts)],
    running: usize,
) -> fmt::Result {
    let labelled = |of: &'static str, values: fn(&Counts) -> Vec<(&'static str, u64)>| {
        counts.iter().flat_map(move |(cause, counts)| {
            let cause = cause.name();
            values(counts).into_iter().map(move |(label, value)| {
                (format!("{{cause=\"{cause}\",{of}=\"{label}\"}}"), value)
            })
        })
    };
    family(
        text,
        "atelier_sync_running",
        "gauge",
        "Synchronisations that go on.",
        [(String::new(), running as u64)],
    )?;
    family(
        text,
        "atelier_sync_runs_total",
        "counter",
        "Synchronisations of one mount, by how they ended: whole, partial (conflicts, questions or files left out), failed.",
        labelled("outcome", |counts| {
            vec![("whole", counts.whole), ("partial", counts.partial), ("failed", counts.failed)]
        }),
    )?;
    family(
        text,
        "atelier_sync_changes_total",
        "counter",
        "Files, folders and links that were changed on a side.",
        labelled("side", |counts| {
            vec![("server", counts.moved.to_server), ("studio", counts.moved.to_studio)]
        }),
    )?;
    family(
        text,
        "atelier_sync_bytes_total",
        "counter",
        "Bytes on the network, to the studio (sent) and from it (received).",
        labelled("direction", |counts| {
            vec![("sent", counts.moved.bytes_sent), ("received", counts.moved.bytes_received)]
        }),
    )?;
    family(
        text,
        "atelier_sync_conflicts_total",
        "counter",
        "Conflicts that runs left, and texts that were merged instead.",
        labelled("end", |counts| {
            vec![("left", counts.moved.conflicts), ("merged", counts.moved.merged)]
        }),
    )?;
    let name = "atelier_sync_duration_seconds";
    writeln!(text, "# HELP {name} How long synchronisations of one mount take.")?;
    writeln!(text, "# TYPE {name} histogram")?;
    for (cause, counts) in counts {
        let cause = cause.name();
        let mut sum = 0;
        for (end, count) in BUCKETS_S.iter().zip(counts.buckets) {
            sum += count;
            writeln!(text, "{name}_bucket{{cause=\"{cause}\",le=\"{end}\"}} {sum}")?;
        }
        writeln!(text, "{name}_bucket{{cause=\"{cause}\",le=\"+Inf\"}} {}", counts.runs())?;
        writeln!(text, "{name}_sum{{cause=\"{cause}\"}} {}", counts.took.as_secs_f64())?;
        writeln!(text, "{name}_count{{cause=\"{cause}\"}} {}", counts.runs())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_and_every_line_has_a_family() {
        let mut counts = Counts { whole: 3, failed: 1, ..Counts::default() };
        counts.buckets = [2, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let mut text = String::new();
        synchronisation(&mut text, &[(SyncCause::Live, counts)], 1).unwrap();
        let has = |line: &str| assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        has("atelier_sync_running 1");
        has("atelier_sync_runs_total{cause=\"live\",outcome=\"whole\"} 3");
        has("atelier_sync_duration_seconds_bucket{cause=\"live\",le=\"0.05\"} 2");
        has("atelier_sync_duration_seconds_bucket{cause=\"live\",le=\"0.25\"} 3");
        // One took longer than any bucket.
        has("atelier_sync_duration_seconds_bucket{cause=\"live\",le=\"+Inf\"} 4");
        has("atelier_sync_duration_seconds_count{cause=\"live\"} 4");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
        }
    }
}
