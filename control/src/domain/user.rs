//! People, groups and their keys.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ids::{ApiKeyId, GroupName, Login};

/// A local user or a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub login: Login,
    pub name: String,
    pub email: String,
    /// Argon2 in PHC form; `None`: can't log in by password.
    pub password_hash: Option<String>,
    pub admin: bool,
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: GroupName,
    pub members: Vec<Login>,
}

/// What a key may do at most; its user's own rights bound it further.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Write,
    Admin,
}

/// A personal or service API key. The secret itself is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub login: Login,
    pub label: String,
    pub scope: Scope,
    /// SHA-256 of the secret, which has 160 random bits.
    pub secret_hash: Vec<u8>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
}
