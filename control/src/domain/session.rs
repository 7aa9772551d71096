//! What runs in a studio beside its entrypoints: one-off commands, shells and runs of actions; what they and entrypoints
//! print; and the container's files.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSpec {
    /// argv; empty: the interactive shell.
    pub command: Vec<String>,
    /// A terminal; pipes when absent.
    pub terminal: Option<TerminalSize>,
    /// Standard input stays open; else it is empty.
    pub stdin: bool,
    /// Empty: the workspace.
    pub working_folder: String,
    pub env: BTreeMap<String, String>,
    pub timeout: Option<Duration>,
    /// The process waits for a slow reader instead of losing its oldest output.
    pub lossless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Stdout,
    Stderr,
    /// Both, as a terminal shows them.
    Pty,
}

/// How a process ended: exactly one of the first three is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Exit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Number of the signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started: Option<String>,
    /// A child in the background still held the pipes; what it printed later is not there.
    pub pipes_left_open: bool,
    pub timed_out: bool,
    pub cancelled: bool,
}

/// A piece of a session's output, in order. `Exit` is always the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Data {
        offset: u64,
        channel: Channel,
        data: Bytes,
    },
    /// Bytes of this range were dropped before anybody read them.
    Gap {
        from: u64,
        to: u64,
    },
    Exit(Exit),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    pub id: String,
    pub command: Vec<String>,
    pub terminal: bool,
    /// Name of the action, when it is a run of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// One past the last byte of output.
    pub end_offset: u64,
    pub viewers: u32,
}

/// What part of an entrypoint's log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Stay for what comes.
    pub follow: bool,
    pub since: Option<OffsetDateTime>,
    /// Only the last lines.
    pub tail: Option<u32>,
    /// Offset to go on from; wins over the two above when not 0.
    pub from: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
    Chunk {
        offset: u64,
        channel: Channel,
        at: OffsetDateTime,
        /// How often the entrypoint had been restarted when it wrote this.
        restart: u32,
        data: Bytes,
    },
    Gap {
        from: u64,
        to: u64,
    },
}

/// What an entrypoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrypointVerb {
    Restart,
    Stop,
    Start,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    File,
    Folder,
    Symlink,
    Other,
}

/// A file of the container. Names are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFile {
    pub name: Vec<u8>,
    pub kind: FileKind,
    pub size: u64,
    pub mode: u32,
    pub modified_at: OffsetDateTime,
    /// Of a symlink.
    pub link_target: Vec<u8>,
}
