//! What the agent leaves behind: what ran, how it ended, memory at its highest, last log lines.

use std::fs;
use std::path::Path;

use proto::agent::v1::{Exit, exit::How};
use serde::Serialize;

use crate::agent::Agent;

/// Kubernetes shows this file as the container's last message, cut at 4 KiB.
const TERMINATION_LOG: &str = "/dev/termination-log";
const TERMINATION_LIMIT_BYTES: usize = 4 << 10;
const CERTIFICATE: &str = "death.json";

#[derive(Debug, Serialize)]
struct Certificate {
    reason: String,
    at_ms: i64,
    /// Bytes; of all processes in the container where the kernel tells.
    memory_peak: Option<u64>,
    orphans_reaped: u64,
    entrypoints: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    state: String,
    reason: String,
    restarts: u32,
    last_exit: Option<String>,
    log_tail: String,
}

/// Best effort: a full disk must not keep the studio from ending.
pub(super) fn write(agent: &Agent, reason: &str) {
    let full = certificate(agent, reason, 16 << 10);
    let path = agent.config.state_dir.join(CERTIFICATE);
    if let Err(error) = serde_json::to_vec(&full)
        .map_err(std::io::Error::other)
        .and_then(|json| fs::write(&path, json))
    {
        tracing::warn!(%error, "no death certificate");
    }
    if Path::new(TERMINATION_LOG).is_file() {
        let entrypoints = full.entrypoints.len().max(1);
        let short = certificate(agent, reason, TERMINATION_LIMIT_BYTES / 2 / entrypoints);
        let mut json = serde_json::to_vec(&short).unwrap_or_default();
        json.truncate(TERMINATION_LIMIT_BYTES);
        fs::write(TERMINATION_LOG, json).ok();
    }
}

fn certificate(agent: &Agent, reason: &str, tail: usize) -> Certificate {
    let mut tails = agent.supervisor.log_tails(tail);
    let mut tail_of = |id: &str| {
        let index = tails.iter().position(|(of, _)| of == id);
        index.map(|index| tails.swap_remove(index).1).unwrap_or_default()
    };
    let entrypoints = agent.events.entrypoints().into_iter().map(|state| Entry {
        log_tail: tail_of(&state.id),
        state: state
            .readiness()
            .as_str_name()
            .trim_start_matches("READINESS_LEVEL_")
            .to_lowercase(),
        restarts: state.restarts,
        last_exit: state.last_exit.as_ref().map(exit_text),
        id: state.id,
        reason: state.reason,
    });
    Certificate {
        reason: reason.to_owned(),
        at_ms: crate::clock::wall_ms(),
        memory_peak: memory_peak(),
        orphans_reaped: agent.reaper.orphans(),
        entrypoints: entrypoints.collect(),
    }
}

fn exit_text(exit: &Exit) -> String {
    match &exit.how {
        Some(How::Code(code)) => format!("code {code}"),
        Some(How::Signal(signal)) => format!("signal {signal}"),
        Some(How::NotStarted(reason)) => format!("not started: {reason}"),
        None => "unknown".to_owned(),
    }
}

fn memory_peak() -> Option<u64> {
    ["/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}
