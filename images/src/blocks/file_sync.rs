//! `file_sync`: which zones a studio sees, where, and what is left out. Replaces the defaults where it names the same zone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::{Composition, DEFAULT_ZONES, default_mount},
    launch::Mount,
};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSync {
    #[serde(default)]
    mounts: Vec<MountSpec>,
    /// gitignore patterns without `!`, for all mounts.
    #[serde(default)]
    exclusions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a box that an administrator ticks in a form"
)]
struct MountSpec {
    /// Name of a zone, such as `notebooks`.
    zone: String,
    /// Folder of the zone; empty: all of it.
    #[serde(default)]
    sub_folder: String,
    /// Path below the workspace; the zone's name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Server to studio only.
    #[serde(default)]
    one_way: bool,
    /// Patterns for this mount alone.
    #[serde(default)]
    exclusions: Vec<String>,
    /// Not mounted at all.
    #[serde(default)]
    disabled: bool,
    /// Follows changes on both sides, and synchronises within a second. Owners of studios may say otherwise.
    #[serde(default)]
    live: bool,
    /// Merges what both sides changed in a text, where that is clean. Owners of studios may say otherwise.
    #[serde(default)]
    merge: bool,
    #[serde(default = "yes")]
    shadow: bool,
}

const fn yes() -> bool {
    true
}

impl BlockRules for FileSync {
    fn apply(&self, at: &mut Composition<'_>) {
        check::exclusions(at, "exclusions", &self.exclusions);
        for spec in &self.mounts {
            at.launch.mounts.retain(|mount| mount.zone != spec.zone);
        }
        for (place, spec) in self.mounts.iter().enumerate() {
            let field = format!("mounts[{place}]");
            if !DEFAULT_ZONES.contains(&spec.zone.as_str()) {
                at.problem(
                    format!("{field}.zone"),
                    format!("{:?} is none of {}", spec.zone, DEFAULT_ZONES.join(", ")),
                );
            }
            check::relative_path(at, &format!("{field}.sub_folder"), &spec.sub_folder, true);
            check::exclusions(at, &format!("{field}.exclusions"), &spec.exclusions);
            let target = spec.target.clone().unwrap_or_else(|| spec.zone.clone());
            check::target_path(at, &format!("{field}.target"), &target);
            if !spec.disabled {
                at.launch.mounts.push(Mount {
                    sub_folder: spec.sub_folder.clone(),
                    target,
                    one_way: spec.one_way,
                    exclusions: spec.exclusions.clone(),
                    live: spec.live,
                    merge: spec.merge && !spec.one_way,
                    shadow: spec.shadow && !spec.one_way,
                    ..default_mount(&spec.zone)
                });
            }
        }
        for mount in &mut at.launch.mounts {
            mount.exclusions.extend(self.exclusions.iter().cloned());
        }
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("type", "file_sync".into())]
    }
}
