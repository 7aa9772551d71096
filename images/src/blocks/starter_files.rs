//! `starter_files`: files that every new studio begins with. Copied when a studio is made, never over a file that is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{StarterFile, StarterSource},
};

/// Zones that belong to the studio or its user: a template does not write into what a project shares.
const ZONES: [&str; 4] =
    ["code_studio-versioned", "code_studio-resources", "user-versioned", "user-resources"];

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StarterFiles {
    #[serde(default)]
    files: Vec<StarterFileSpec>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StarterFileSpec {
    /// A resource of the template, or a folder of them; leave empty where `text` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// The file's content itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// One of the `code_studio-` and `user-` zones.
    zone: String,
    /// Path in the zone; for a folder of resources: the folder that they go to.
    path: String,
}

impl BlockRules for StarterFiles {
    fn apply(&self, at: &mut Composition<'_>) {
        for (place, file) in self.files.iter().enumerate() {
            let field = format!("files[{place}]");
            if !ZONES.contains(&file.zone.as_str()) {
                at.problem(format!("{field}.zone"), format!("one of {}", ZONES.join(", ")));
            }
            check::relative_path(at, &format!("{field}.path"), &file.path, false);
            let starter =
                |path: String, source| StarterFile { zone: file.zone.clone(), path, source };
            match (&file.resource, &file.text) {
                (None, Some(text)) if text.len() <= 1 << 20 => {
                    at.launch
                        .starter_files
                        .push(starter(file.path.clone(), StarterSource::Text(text.clone())));
                }
                (Some(resource), None) => {
                    let folder = format!("{}/", resource.trim_end_matches('/'));
                    let below: Vec<String> = at
                        .resource_paths()
                        .filter(|path| path.starts_with(&folder))
                        .cloned()
                        .collect();
                    if below.is_empty() {
                        if at.resource(&format!("{field}.resource"), resource).is_some() {
                            let source = StarterSource::Resource(resource.clone());
                            at.launch.starter_files.push(starter(file.path.clone(), source));
                        }
                    } else {
                        for path in below {
                            let to = format!("{}/{}", file.path, path.trim_start_matches(&folder));
                            at.launch
                                .starter_files
                                .push(starter(to, StarterSource::Resource(path)));
                        }
                    }
                }
                _ => at.problem(field, "either a resource, or a text of at most 1 MiB"),
            }
        }
    }
}
