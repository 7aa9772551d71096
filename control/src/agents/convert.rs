//! Between the protocol's types and ours. Numbers of a hostile peer are clamped, never trusted.

use std::{collections::BTreeMap, time::Duration};

use proto::agent::v1 as wire;
use time::OffsetDateTime;

use crate::domain::{
    agent::{AgentPhase, EntrypointView, MountSight, ReadinessLevel},
    launch::{self, Launch},
    mounts::Sight,
    session::{
        Channel, ContainerFile, Exit, FileKind, LogPiece, Output, Session, SessionSpec,
        TerminalSize,
    },
};

/// Longest text that is taken from an agent.
const LONGEST: usize = 4_000;

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Unix time in ms; the epoch where it is no time.
pub(super) fn time(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(super) fn ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

pub(super) fn phase(phase: wire::Phase) -> AgentPhase {
    match phase {
        wire::Phase::Unspecified | wire::Phase::Waiting => AgentPhase::Waiting,
        wire::Phase::Filling => AgentPhase::Filling,
        wire::Phase::Running => AgentPhase::Running,
        wire::Phase::Draining => AgentPhase::Draining,
        wire::Phase::Ended => AgentPhase::Ended,
    }
}

pub(super) fn phase_number(number: i32) -> AgentPhase {
    phase(wire::Phase::try_from(number).unwrap_or(wire::Phase::Unspecified))
}

pub(super) fn entrypoint_view(state: &wire::EntrypointState) -> EntrypointView {
    let level = match state.readiness() {
        wire::ReadinessLevel::Unspecified => ReadinessLevel::Unknown,
        wire::ReadinessLevel::Started => ReadinessLevel::Started,
        wire::ReadinessLevel::Listening => ReadinessLevel::Listening,
        wire::ReadinessLevel::Ready => ReadinessLevel::Ready,
        wire::ReadinessLevel::Degraded => ReadinessLevel::Degraded,
        wire::ReadinessLevel::BackingOff => ReadinessLevel::BackingOff,
        wire::ReadinessLevel::Exited => ReadinessLevel::Exited,
        wire::ReadinessLevel::Stopped => ReadinessLevel::Stopped,
    };
    EntrypointView {
        id: cut(&state.id),
        level,
        since: time(state.since_ms),
        reason: cut(&state.reason),
        restarts: state.restarts,
    }
}

pub(super) fn mount_sight(told: &wire::MountSight) -> MountSight {
    let look_every = u64::from(told.look_every_ms);
    let sight = Sight {
        watching: told.watching,
        reason: (!told.watching).then(|| cut(&told.reason)),
        look_every_ms: (look_every > 0).then_some(look_every),
    };
    MountSight { mount: cut(&told.mount_id), sight }
}

fn env(vars: &BTreeMap<String, String>) -> Vec<wire::EnvVar> {
    vars.iter()
        .map(|(name, value)| wire::EnvVar { name: name.clone(), value: value.clone() })
        .collect()
}

pub(super) fn manifest(launch: &Launch) -> wire::LaunchManifest {
    wire::LaunchManifest {
        generation: launch.generation,
        env: env(&launch.env),
        expanded_env: env(&launch.expanded_env),
        workspace: launch.workspace.clone(),
        home: launch.home.clone(),
        mounts: launch.mounts.iter().map(mount).collect(),
        entrypoints: launch.entrypoints.iter().map(entrypoint).collect(),
        actions: launch.actions.iter().map(action).collect(),
        listen_address: launch.listen_address.to_string(),
        tunnel_ports: launch.tunnel_ports.iter().copied().map(u32::from).collect(),
        drain_grace_ms: ms(launch.drain_grace),
        log_limit_bytes: launch.log_limit_bytes,
        // The first that exists; any image has the last.
        shells: ["/bin/bash", "/bin/sh"].map(str::to_owned).to_vec(),
    }
}

fn mount(mount: &launch::Mount) -> wire::Mount {
    wire::Mount {
        id: mount.id.clone(),
        target: mount.target.clone(),
        one_way: mount.one_way,
        exclusions: mount.exclusions.clone(),
        live: mount.live,
        shadow: mount.shadow,
    }
}

fn entrypoint(entrypoint: &launch::Entrypoint) -> wire::Entrypoint {
    let restart = match entrypoint.restart {
        launch::RestartPolicy::Always => wire::RestartPolicy::Always,
        launch::RestartPolicy::OnFailure => wire::RestartPolicy::OnFailure,
        launch::RestartPolicy::Never => wire::RestartPolicy::Never,
    };
    wire::Entrypoint {
        id: entrypoint.id.clone(),
        label: entrypoint.label.clone(),
        command: entrypoint.command.clone(),
        working_folder: entrypoint.working_folder.clone(),
        env: env(&entrypoint.env),
        port: entrypoint.port.map_or(0, u32::from),
        readiness: entrypoint.readiness.as_ref().map(readiness),
        restart: restart.into(),
        stop_grace_ms: ms(entrypoint.stop_grace),
    }
}

fn readiness(readiness: &launch::Readiness) -> wire::Readiness {
    let probe = match &readiness.probe {
        launch::Probe::Tcp => wire::readiness::Probe::Tcp(true),
        launch::Probe::Http { url, base_url, status_from, status_to } => {
            wire::readiness::Probe::Http(wire::HttpProbe {
                url: url.clone(),
                status_from: u32::from(*status_from),
                status_to: u32::from(*status_to),
                base_url: base_url.clone(),
            })
        }
    };
    wire::Readiness {
        probe: Some(probe),
        period_ms: ms(readiness.period),
        timeout_ms: ms(readiness.timeout),
    }
}

fn action(action: &launch::Action) -> wire::Action {
    let concurrency = match action.concurrency {
        launch::Concurrency::Refuse => wire::ActionConcurrency::Refuse,
        launch::Concurrency::Queue => wire::ActionConcurrency::Queue,
        launch::Concurrency::Parallel => wire::ActionConcurrency::Parallel,
    };
    wire::Action {
        id: action.id.clone(),
        name: action.name.clone(),
        command_line: action.command_line.clone(),
        working_folder: action.working_folder.clone(),
        timeout_ms: action.timeout.map_or(0, ms),
        concurrency: concurrency.into(),
    }
}

pub(super) fn size(size: TerminalSize) -> wire::TerminalSize {
    wire::TerminalSize { columns: u32::from(size.columns), rows: u32::from(size.rows) }
}

pub(super) fn start(request: &str, spec: &SessionSpec) -> wire::StartRequest {
    wire::StartRequest {
        request_id: request.to_owned(),
        command: spec.command.clone(),
        working_folder: spec.working_folder.clone(),
        env: env(&spec.env),
        terminal: spec.terminal.map(size),
        stdin: spec.stdin,
        lossless: spec.lossless,
        timeout_ms: spec.timeout.map_or(0, ms),
        detach_timeout_ms: 0,
    }
}

pub(super) fn exit(exit: wire::Exit) -> Exit {
    let mut ours = Exit {
        pipes_left_open: exit.pipes_left_open,
        timed_out: exit.timed_out,
        cancelled: exit.cancelled,
        ..Exit::default()
    };
    match exit.how {
        Some(wire::exit::How::Code(code)) => ours.code = Some(code),
        Some(wire::exit::How::Signal(signal)) => ours.signal = Some(signal),
        Some(wire::exit::How::NotStarted(why)) => ours.not_started = Some(cut(&why)),
        None => ours.not_started = Some("the agent did not say how it ended".to_owned()),
    }
    ours
}

fn channel(channel: wire::Channel) -> Channel {
    match channel {
        wire::Channel::Unspecified | wire::Channel::Stdout => Channel::Stdout,
        wire::Channel::Stderr => Channel::Stderr,
        wire::Channel::Pty => Channel::Pty,
    }
}

/// `None`: a kind that a newer agent sends and that we don't know.
pub(super) fn output(output: wire::Output) -> Option<Output> {
    Some(match output.what? {
        wire::output::What::Data(data) => {
            Output::Data { offset: data.offset, channel: channel(data.channel()), data: data.data }
        }
        wire::output::What::Gap(gap) => Output::Gap { from: gap.from, to: gap.to },
        wire::output::What::Exit(ended) => Output::Exit(exit(ended)),
    })
}

pub(super) fn session(info: wire::SessionInfo) -> Session {
    Session {
        id: cut(&info.session_id),
        command: info.command.iter().map(|part| cut(part)).collect(),
        terminal: info.terminal,
        action: (!info.action.is_empty()).then(|| cut(&info.action)),
        started_at: time(info.started_at_ms),
        exit: info.exit.map(exit),
        end_offset: info.end_offset,
        viewers: info.viewers,
    }
}

pub(super) fn log(message: wire::LogMessage) -> Option<LogPiece> {
    Some(match message.what? {
        wire::log_message::What::Chunk(chunk) => LogPiece::Chunk {
            offset: chunk.offset,
            channel: channel(chunk.channel()),
            at: time(chunk.at_ms),
            restart: chunk.restart,
            data: chunk.data,
        },
        wire::log_message::What::Gap(gap) => LogPiece::Gap { from: gap.from, to: gap.to },
    })
}

pub(super) fn file(info: wire::FileInfo) -> ContainerFile {
    let kind = match info.kind() {
        wire::file_info::Kind::File => FileKind::File,
        wire::file_info::Kind::Folder => FileKind::Folder,
        wire::file_info::Kind::Symlink => FileKind::Symlink,
        wire::file_info::Kind::Other | wire::file_info::Kind::Unspecified => FileKind::Other,
    };
    ContainerFile {
        kind,
        size: info.size,
        mode: info.mode,
        modified_at: time(info.mtime_ms),
        name: info.name.into(),
        link_target: info.link_target.into(),
    }
}
