//! `atelier-agent status`.

use std::io::Write;

use proto::agent::v1::{EntrypointState, Exit, SessionInfo, StatusQuery, StatusReport, exit::How};
use serde_json::{Value, json};

use super::client::Client;

pub(super) async fn show(client: &Client, as_json: bool) -> anyhow::Result<u8> {
    let report = client.local().status(StatusQuery {}).await?.into_inner();
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{}", report_json(&report))?;
        return Ok(0);
    }
    let connected = if report.connected { "connected" } else { "not connected" };
    writeln!(
        out,
        "studio {} (epoch {}): {}, {connected}",
        report.studio_id,
        report.epoch,
        phase(&report)
    )?;
    for state in &report.entrypoints {
        let pid = if state.pid == 0 { "-".to_owned() } else { state.pid.to_string() };
        let level = level(state);
        writeln!(
            out,
            "  {:20} {level:12} pid {pid:8} restarts {:<4} {}",
            state.id, state.restarts, state.reason
        )?;
    }
    for session in &report.sessions {
        let exit = session.exit.as_ref().map_or_else(|| "runs".to_owned(), exit_text);
        let command = if session.action.is_empty() {
            session.command.join(" ")
        } else {
            session.action.clone()
        };
        writeln!(out, "  session {} {exit:10} {command}", session.session_id)?;
    }
    Ok(0)
}

fn phase(report: &StatusReport) -> String {
    report.phase().as_str_name().trim_start_matches("PHASE_").to_lowercase()
}

fn level(state: &EntrypointState) -> String {
    state.readiness().as_str_name().trim_start_matches("READINESS_LEVEL_").to_lowercase()
}

fn exit_text(exit: &Exit) -> String {
    match &exit.how {
        Some(How::Code(code)) => format!("code {code}"),
        Some(How::Signal(signal)) => format!("signal {signal}"),
        Some(How::NotStarted(reason)) => format!("not started: {reason}"),
        None => "ended".to_owned(),
    }
}

fn exit_json(exit: &Exit) -> Value {
    let (code, signal, not_started) = match &exit.how {
        Some(How::Code(code)) => (Some(code), None, None),
        Some(How::Signal(signal)) => (None, Some(signal), None),
        Some(How::NotStarted(reason)) => (None, None, Some(reason)),
        None => (None, None, None),
    };
    json!({ "code": code, "signal": signal, "not_started": not_started, "ended_at_ms": exit.ended_at_ms })
}

fn session_json(session: &SessionInfo) -> Value {
    json!({
        "session_id": session.session_id,
        "command": session.command,
        "action": session.action,
        "terminal": session.terminal,
        "started_at_ms": session.started_at_ms,
        "exit": session.exit.as_ref().map(exit_json),
    })
}

fn report_json(report: &StatusReport) -> Value {
    let entrypoint = |state: &EntrypointState| {
        json!({
            "id": state.id,
            "readiness": level(state),
            "since_ms": state.since_ms,
            "reason": state.reason,
            "pid": state.pid,
            "restarts": state.restarts,
            "last_exit": state.last_exit.as_ref().map(exit_json),
        })
    };
    json!({
        "agent_version": report.agent_version,
        "studio_id": report.studio_id,
        "epoch": report.epoch,
        "phase": phase(report),
        "generation": report.generation,
        "connected": report.connected,
        "entrypoints": report.entrypoints.iter().map(entrypoint).collect::<Vec<_>>(),
        "sessions": report.sessions.iter().map(session_json).collect::<Vec<_>>(),
        "actions": report.actions,
    })
}
