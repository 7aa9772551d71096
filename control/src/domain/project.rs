//! Projects and the rights in them.

use serde::{Deserialize, Serialize};

use super::{
    ids::{GroupName, ProjectKey},
    permission::{MissingRight, Principal, Refusal, Right},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub key: ProjectKey,
    pub name: String,
    pub description: String,
    pub permissions: Vec<Grant>,
}

/// A right for all members of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Grant {
    pub group: GroupName,
    pub right: Right,
}

impl Project {
    /// The strongest right that somebody has here. Administrators have all.
    pub fn right_of(&self, who: &Principal) -> Option<Right> {
        if who.admin {
            return Some(Right::Admin);
        }
        self.permissions
            .iter()
            .filter(|grant| who.groups.contains(&grant.group))
            .map(|grant| grant.right)
            .max()
    }

    /// Refuses whoever has less.
    pub fn require(&self, who: &Principal, right: Right) -> Result<(), Refusal> {
        if self.right_of(who) >= Some(right) {
            Ok(())
        } else {
            Err(who.refusal(MissingRight::InProject { project: self.key.clone(), right }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::Scope;

    fn somebody(groups: &[&str]) -> Principal {
        Principal {
            login: "alice".parse().unwrap(),
            admin: false,
            groups: groups.iter().map(|name| name.parse().unwrap()).collect(),
            scope: Scope::Admin,
        }
    }

    #[test]
    fn the_strongest_grant_counts() {
        let grant = |group: &str, right| Grant { group: group.parse().unwrap(), right };
        let project = Project {
            key: "DEMO".parse().unwrap(),
            name: String::new(),
            description: String::new(),
            permissions: vec![grant("readers", Right::Read), grant("writers", Right::Write)],
        };
        assert_eq!(project.right_of(&somebody(&[])), None);
        assert_eq!(project.right_of(&somebody(&["readers", "writers"])), Some(Right::Write));
        let refusal = project.require(&somebody(&["readers"]), Right::Write).unwrap_err();
        assert_eq!(refusal.to_string(), "alice lacks the right: write in project DEMO");
    }
}
