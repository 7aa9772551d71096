//! What the engine says, in the words that people and programs get.

use data_encoding::BASE64;
use sync::{Entry, Outcome, RelPath};
use time::OffsetDateTime;

use super::losses::Span;
use crate::domain::{
    launch::Mount,
    session::FileKind,
    sync::{
        Conflict, ConflictVersion, MassDeletion, MountResult, PathChange, SkippedPath, ZoneCommit,
    },
    zone_files::NewCommit,
};

/// Paths of each list that are told one by one; a first copy of a large zone has far more.
const MOST_TOLD: usize = 10_000;

pub(super) fn mount_result(mount: &Mount, outcome: &Outcome, slow: Option<Span>) -> MountResult {
    MountResult {
        mount: mount.id.clone(),
        zone: mount.zone.to_string(),
        to_server: changes(&outcome.server_changes),
        to_studio: changes(&outcome.studio_changes),
        conflicts: outcome.conflicts.iter().map(|found| conflict(&mount.id, found)).collect(),
        questions: outcome
            .questions
            .iter()
            .map(|question| MassDeletion {
                mount: mount.id.clone(),
                side: question.lost_by.name().to_owned(),
                deletions: question.deletions as u64,
                already: question.before as u64,
                already_since: slow.map(|slow| slow.since),
                already_until: slow.map(|slow| slow.until),
                of: question.of as u64,
            })
            .collect(),
        skipped: outcome
            .skipped
            .iter()
            .take(MOST_TOLD)
            .map(|skipped| SkippedPath {
                path: skipped.path.to_string(),
                reason: skipped.reason.clone(),
                special: skipped.special,
            })
            .collect(),
        kept_both: outcome.kept_both.iter().map(RelPath::to_string).collect(),
        merged: Vec::new(),
        brought_back: 0,
        bytes_sent: outcome.stats.bytes_sent,
        bytes_received: outcome.stats.bytes_received,
        took_ms: u64::try_from(outcome.stats.took.as_millis()).unwrap_or(u64::MAX),
    }
}

fn changes(changes: &[sync::Change]) -> Vec<PathChange> {
    let told = changes.iter().take(MOST_TOLD).map(|change| PathChange {
        path: change.path.to_string(),
        change: change.kind.name().to_owned(),
        folder: change.is_folder,
        from: change.from.as_ref().map(RelPath::to_string),
    });
    told.collect()
}

fn conflict(mount: &str, conflict: &sync::Conflict) -> Conflict {
    Conflict {
        mount: mount.to_owned(),
        path: conflict.path.to_string(),
        path_base64: BASE64.encode(conflict.path.as_bytes()),
        kind: conflict.kind.name().to_owned(),
        server: conflict.server.as_ref().map(version),
        studio: conflict.studio.as_ref().map(version),
        base: conflict.base.map(|base| base.to_string()),
        token: conflict.token.to_string(),
    }
}

fn version(version: &sync::Version) -> ConflictVersion {
    let (kind, executable) = match &version.entry {
        Entry::Folder => (FileKind::Folder, false),
        Entry::File { executable, .. } => (FileKind::File, *executable),
        Entry::Link { .. } => (FileKind::Symlink, false),
    };
    let at = i128::from(version.modified_ms) * 1_000_000;
    let modified_at =
        OffsetDateTime::from_unix_timestamp_nanos(at).ok().filter(|_| version.modified_ms >= 0);
    ConflictVersion { kind, size: version.entry.size(), executable, modified_at, author: None }
}

pub(super) fn commit(mount: &Mount, commit: &NewCommit) -> ZoneCommit {
    ZoneCommit {
        zone: mount.zone.to_string(),
        commit: commit.id.clone(),
        warnings: commit.warnings.clone(),
    }
}
