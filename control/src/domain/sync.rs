//! Synchronisations as people see them: what is asked, what came of it, what is open.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::session::FileKind;

/// What a final synchronisation left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FinalSync {
    /// Files that could not be brought back, with the reason: while there are any, the pod's files must be kept.
    pub left_behind: Vec<String>,
    /// Conflicts that were kept as two files.
    pub kept_both: u32,
}

/// What came back of pods that were lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    pub files: u64,
    /// Of these, beside what the zone has otherwise by now.
    pub beside: u64,
    /// What could not be brought back, with the reason.
    pub missing: Vec<String>,
}

/// Which side's changes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncDirection {
    #[default]
    Both,
    /// Studio → server.
    Pull,
    /// Server → studio.
    Push,
    /// Nothing moves; the result says what would.
    Check,
}

/// How a conflict ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepChoice {
    Studio,
    Server,
    /// The studio's version gets a conflict name.
    Both,
    /// An automatic three-way merge of text, where it is clean.
    Merge,
}

/// Somebody decided on a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub mount: String,
    /// Below the mount.
    pub path: Vec<u8>,
    pub keep: KeepChoice,
    /// Of the conflict as it was seen; `None`: whatever is there.
    pub token: Option<String>,
}

/// One synchronisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncOrder {
    pub direction: SyncDirection,
    /// `None`: all.
    pub mounts: Option<Vec<String>>,
    pub decisions: Vec<Decision>,
    /// Mounts whose mass deletion was meant.
    pub allow_mass_deletion: Vec<String>,
    /// Mounts whose mass deletion was not: the files come back, also what went little by little.
    pub undo_mass_deletion: Vec<String>,
}

/// What a synchronisation did and could not do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SyncResult {
    pub mounts: Vec<MountResult>,
    pub commits: Vec<ZoneCommit>,
}

/// A change that reached a versioned zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneCommit {
    pub zone: String,
    pub commit: String,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MountResult {
    pub mount: String,
    pub zone: String,
    pub to_server: Vec<PathChange>,
    pub to_studio: Vec<PathChange>,
    pub conflicts: Vec<Conflict>,
    pub questions: Vec<MassDeletion>,
    pub skipped: Vec<SkippedPath>,
    /// Conflict copies that were made.
    pub kept_both: Vec<String>,
    /// Texts whose changes of both sides were merged.
    #[serde(default)]
    pub merged: Vec<String>,
    /// Files of a deletion that was not meant, which came back to the server out of its trash.
    #[serde(default)]
    pub brought_back: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub took_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathChange {
    /// For people: bytes that are no text are replaced.
    pub path: String,
    /// `created`, `modified`, `deleted` or `moved`.
    pub change: String,
    pub folder: bool,
    /// Where a folder was that moved with all that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Both sides changed it, and nobody decided yet. Neither side was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Conflict {
    pub mount: String,
    /// For people: bytes that are no text are replaced.
    pub path: String,
    pub path_base64: String,
    /// `edit_edit`, `deleted_on_server`, `deleted_in_studio` or `kind`.
    pub kind: String,
    pub server: Option<ConflictVersion>,
    pub studio: Option<ConflictVersion>,
    /// BLAKE3 of what both had before.
    pub base: Option<String>,
    /// Names the two versions.
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConflictVersion {
    pub kind: FileKind,
    pub size: u64,
    pub executable: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    pub modified_at: Option<OffsetDateTime>,
    /// Who changed it last, where that is known.
    pub author: Option<String>,
}

/// One side lost so much that nothing was deleted on the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MassDeletion {
    pub mount: String,
    /// `server` or `studio`.
    pub side: String,
    pub deletions: u64,
    /// Of these, by live synchronisations of the last minutes: they are gone on both sides, and in the trash.
    #[serde(default)]
    pub already: u64,
    /// When these went.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub already_since: Option<OffsetDateTime>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub already_until: Option<OffsetDateTime>,
    /// Files that both had before.
    pub of: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SkippedPath {
    pub path: String,
    pub reason: String,
    /// It is of a kind that is never synchronised, such as a socket.
    pub special: bool,
}

/// What waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OpenIssues {
    pub conflicts: Vec<Conflict>,
    pub questions: Vec<MassDeletion>,
}

/// Both versions of a conflict, for a person to compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// Some version is no text, or is larger than 1 MiB: there is no diff.
    pub binary: bool,
    pub base: Option<String>,
    pub server: Option<String>,
    pub studio: Option<String>,
    /// Unified: from the server's version to the studio's.
    pub diff: Option<String>,
    /// A three-way merge would be clean.
    pub merge_clean: bool,
}
