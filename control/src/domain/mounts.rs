//! Mounts of studios as people see them: how they are set, whether changes are seen, what goes on, what was done.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::launch::Mount;

/// What a studio's owner wants of a mount; `None`: as the template says. Stays over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountSettings {
    pub live: Option<bool>,
    pub merge: Option<bool>,
}

impl MountSettings {
    pub fn apply(self, mount: &mut Mount) {
        mount.live = self.live.unwrap_or(mount.live);
        mount.merge = self.merge.unwrap_or(mount.merge) && !mount.one_way;
    }
}

/// A mount of a studio's present incarnation, or of its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MountState {
    pub id: String,
    /// Such as `project:DEMO:notebooks`.
    pub zone: String,
    pub target: String,
    /// Server to studio only.
    pub one_way: bool,
    /// It is synchronised within a second of a change.
    pub live: bool,
    /// What both sides changed in a text is merged where that is clean.
    pub merge: bool,
    /// Whether changes on the server are seen; absent: nobody has looked yet.
    pub server_sight: Option<Sight>,
    /// The same in the studio, as its agent says.
    pub studio_sight: Option<Sight>,
    /// Of the synchronisation that runs.
    pub progress: Option<SyncProgress>,
    /// The last synchronisation.
    pub last: Option<LastRun>,
    /// Of all synchronisations so far.
    pub totals: MountTotals,
}

/// Whether changes in a folder are seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sight {
    pub watching: bool,
    /// Why not: then everything is looked at each time.
    pub reason: Option<String>,
    /// How often a live mount is looked at in place of a watch.
    pub look_every_ms: Option<u64>,
}

/// How far a synchronisation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SyncProgress {
    pub mount: String,
    /// Files and folders; 0 of 0 while both sides are still looked at.
    pub files_done: u64,
    pub files: u64,
    /// Of contents.
    pub bytes: u64,
    pub bytes_expected: u64,
    /// Since it began.
    pub bytes_per_s: u64,
    /// What comes or goes just now.
    pub in_flight: Option<FileInFlight>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileInFlight {
    /// For people: bytes that are no text are replaced.
    pub path: String,
    pub bytes: u64,
    pub size: u64,
}

/// Why files were synchronised.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SyncCause {
    Start,
    Stop,
    /// Somebody asked for it.
    Asked,
    Live,
}

impl SyncCause {
    pub const ALL: [Self; 4] = [Self::Start, Self::Stop, Self::Asked, Self::Live];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Asked => "asked",
            Self::Live => "live",
        }
    }
}

/// What a synchronisation moved, or many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Moved {
    /// Files, folders and links that changed there.
    pub to_server: u64,
    pub to_studio: u64,
    /// On the network, to the studio.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Conflicts that were met, and texts that were merged.
    pub conflicts: u64,
    pub merged: u64,
}

impl std::ops::AddAssign for Moved {
    fn add_assign(&mut self, more: Self) {
        self.to_server += more.to_server;
        self.to_studio += more.to_studio;
        self.bytes_sent += more.bytes_sent;
        self.bytes_received += more.bytes_received;
        self.conflicts += more.conflicts;
        self.merged += more.merged;
    }
}

/// How a synchronisation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastRun {
    pub cause: SyncCause,
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    pub took_ms: u64,
    /// Why it broke off.
    pub failure: Option<String>,
    pub moved: Moved,
    pub skipped: u64,
    pub questions: u64,
}

/// What is kept of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountStatistics {
    pub last: LastRun,
    pub totals: MountTotals,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MountTotals {
    /// The first one began.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    pub runs: u64,
    /// Of these.
    pub failed: u64,
    pub moved: Moved,
}
