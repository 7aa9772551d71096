//! Zones: directories on the server, of a project, a studio or a user.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ids::{InvalidId, Login, ProjectKey, StudioId};

/// The kinds of zones; the names are the contract.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub enum ZoneKind {
    #[serde(rename = "project-lib-versioned")]
    ProjectLibVersioned,
    #[serde(rename = "project-lib-resources")]
    ProjectLibResources,
    #[serde(rename = "recipes")]
    Recipes,
    #[serde(rename = "notebooks")]
    Notebooks,
    #[serde(rename = "code_studio-versioned")]
    CodeStudioVersioned,
    #[serde(rename = "code_studio-resources")]
    CodeStudioResources,
    #[serde(rename = "user-versioned")]
    UserVersioned,
    #[serde(rename = "user-resources")]
    UserResources,
}

/// Whose a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneScope {
    Project,
    Studio,
    User,
}

impl ZoneKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::ProjectLibVersioned,
        Self::ProjectLibResources,
        Self::Recipes,
        Self::Notebooks,
        Self::CodeStudioVersioned,
        Self::CodeStudioResources,
        Self::UserVersioned,
        Self::UserResources,
    ];

    /// The contracted name, which is its default target under the workspace folder too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProjectLibVersioned => "project-lib-versioned",
            Self::ProjectLibResources => "project-lib-resources",
            Self::Recipes => "recipes",
            Self::Notebooks => "notebooks",
            Self::CodeStudioVersioned => "code_studio-versioned",
            Self::CodeStudioResources => "code_studio-resources",
            Self::UserVersioned => "user-versioned",
            Self::UserResources => "user-resources",
        }
    }

    /// Whose zones of this kind are.
    pub const fn scope(self) -> ZoneScope {
        match self {
            Self::ProjectLibVersioned
            | Self::ProjectLibResources
            | Self::Recipes
            | Self::Notebooks => ZoneScope::Project,
            Self::CodeStudioVersioned | Self::CodeStudioResources => ZoneScope::Studio,
            Self::UserVersioned | Self::UserResources => ZoneScope::User,
        }
    }

    /// Whether its changes are commits.
    pub const fn versioned(self) -> bool {
        match self {
            Self::ProjectLibVersioned
            | Self::Recipes
            | Self::Notebooks
            | Self::CodeStudioVersioned
            | Self::UserVersioned => true,
            Self::ProjectLibResources | Self::CodeStudioResources | Self::UserResources => false,
        }
    }
}

impl FromStr for ZoneKind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| InvalidId {
            what: "zone",
            text: text.chars().take(64).collect(),
            rule: "one of the zone names, such as notebooks or code_studio-versioned",
        })
    }
}

/// One zone: a kind and its owner. Text form: `project:DEMO:notebooks`, `studio:abcdefgh:code_studio-versioned`,
/// `user:alice:user-versioned`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneRef {
    kind: ZoneKind,
    owner: ZoneOwner,
}

/// Whose zone it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneOwner {
    Project(ProjectKey),
    Studio(StudioId),
    User(Login),
}

impl ZoneRef {
    /// The zone of this kind that a studio of `owner` in `project` sees.
    pub fn of_studio(
        kind: ZoneKind,
        project: &ProjectKey,
        studio: &StudioId,
        owner: &Login,
    ) -> Self {
        let owner = match kind.scope() {
            ZoneScope::Project => ZoneOwner::Project(project.clone()),
            ZoneScope::Studio => ZoneOwner::Studio(studio.clone()),
            ZoneScope::User => ZoneOwner::User(owner.clone()),
        };
        Self { kind, owner }
    }

    pub const fn kind(&self) -> ZoneKind {
        self.kind
    }

    pub const fn owner(&self) -> &ZoneOwner {
        &self.owner
    }
}

impl FromStr for ZoneRef {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            what: "zone",
            text: text.chars().take(64).collect(),
            rule: "project:KEY:ZONE, studio:ID:ZONE or user:LOGIN:ZONE",
        };
        let mut parts = text.splitn(3, ':');
        let (Some(scope), Some(owner), Some(kind)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let kind: ZoneKind = kind.parse()?;
        let owner = match (scope, kind.scope()) {
            ("project", ZoneScope::Project) => ZoneOwner::Project(owner.parse()?),
            ("studio", ZoneScope::Studio) => ZoneOwner::Studio(owner.parse()?),
            ("user", ZoneScope::User) => ZoneOwner::User(owner.parse()?),
            _ => return Err(invalid()),
        };
        Ok(Self { kind, owner })
    }
}

impl TryFrom<String> for ZoneRef {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ZoneRef> for String {
    fn from(zone: ZoneRef) -> String {
        zone.to_string()
    }
}

impl fmt::Display for ZoneRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.name();
        match &self.owner {
            ZoneOwner::Project(key) => write!(f, "project:{key}:{kind}"),
            ZoneOwner::Studio(id) => write!(f, "studio:{id}:{kind}"),
            ZoneOwner::User(login) => write!(f, "user:{login}:{kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_survives_its_text_form() {
        for text in [
            "project:DEMO:notebooks",
            "studio:abcdefgh:code_studio-resources",
            "user:alice:user-versioned",
        ] {
            assert_eq!(text.parse::<ZoneRef>().map(|zone| zone.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_kind_belongs_to_one_scope_only() {
        for text in [
            "user:alice:notebooks",
            "project:DEMO:user-versioned",
            "project:DEMO",
            "studio:../..:code_studio-versioned",
        ] {
            assert!(text.parse::<ZoneRef>().is_err(), "{text}");
        }
    }
}
