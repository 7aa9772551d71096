//! Who may do what. Every refusal names the right that is missing.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    ids::{GroupName, Login, ProjectKey},
    user::Scope,
};

/// Rights in a project; each includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See the project and its files; one-way mounts.
    Read,
    /// Create and use studios; two-way mounts.
    Write,
    /// Start, stop and hand over everybody's studios; change permissions.
    Admin,
}

/// Who asks: taken from a cookie or a key, never from the request's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub login: Login,
    pub admin: bool,
    pub groups: BTreeSet<GroupName>,
    /// Of the key that was used; a browser session has [`Scope::Admin`].
    pub scope: Scope,
}

/// A refusal: what is missing, for whom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{login} lacks the right: {missing}")]
pub struct Refusal {
    pub login: Login,
    pub missing: MissingRight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingRight {
    Administrator,
    InProject { project: ProjectKey, right: Right },
    OwnerOfStudio,
    TemplateGrant,
    KeyScope(Scope),
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Administrator => f.write_str("administrator"),
            Self::InProject { project, right } => {
                write!(f, "{} in project {project}", right.name())
            }
            Self::OwnerOfStudio => f.write_str("owner of the studio"),
            Self::TemplateGrant => {
                f.write_str("use of the template, which is granted to groups that you are not in")
            }
            Self::KeyScope(scope) => write!(f, "an API key with scope {}", scope.name()),
        }
    }
}

impl Right {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Scope {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Principal {
    /// Refuses unless the key's scope reaches so far.
    pub fn require_scope(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scope >= scope { Ok(()) } else { Err(self.refusal(MissingRight::KeyScope(scope))) }
    }

    /// Refuses unless this is an administrator with a key that may administrate.
    pub fn require_admin(&self) -> Result<(), Refusal> {
        self.require_scope(Scope::Admin)?;
        if self.admin { Ok(()) } else { Err(self.refusal(MissingRight::Administrator)) }
    }

    pub fn refusal(&self, missing: MissingRight) -> Refusal {
        Refusal { login: self.login.clone(), missing }
    }
}
