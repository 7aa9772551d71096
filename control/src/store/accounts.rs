//! Users, groups, keys, log-ins.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::Result;
use crate::domain::{
    ids::{ApiKeyId, GroupName, Login},
    user::{ApiKey, Group, User},
};

/// What a random token stands for; only its SHA-256 is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPurpose {
    /// A browser's session.
    Session,
    /// A link that logs in once.
    Link,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginToken {
    pub hash: Vec<u8>,
    pub purpose: TokenPurpose,
    pub login: Login,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

#[async_trait]
pub trait Accounts: Send + Sync {
    async fn create_user(&self, user: &User) -> Result<()>;
    async fn update_user(&self, user: &User) -> Result<bool>;
    /// Removes the user's keys, tokens and memberships too.
    async fn delete_user(&self, login: &Login) -> Result<bool>;
    async fn user(&self, login: &Login) -> Result<Option<User>>;
    /// By login.
    async fn users(&self) -> Result<Vec<User>>;

    async fn put_group(&self, group: &Group) -> Result<()>;
    async fn delete_group(&self, name: &GroupName) -> Result<bool>;
    async fn group(&self, name: &GroupName) -> Result<Option<Group>>;
    async fn groups(&self) -> Result<Vec<Group>>;
    async fn groups_of(&self, login: &Login) -> Result<Vec<GroupName>>;

    async fn create_api_key(&self, key: &ApiKey) -> Result<()>;
    async fn delete_api_key(&self, id: &ApiKeyId) -> Result<bool>;
    async fn api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>>;
    async fn api_keys_of(&self, login: &Login) -> Result<Vec<ApiKey>>;

    async fn create_token(&self, token: &LoginToken) -> Result<()>;
    async fn token(&self, hash: &[u8], purpose: TokenPurpose) -> Result<Option<LoginToken>>;
    /// Takes a token away; `Some` for exactly one of any number of callers.
    async fn take_token(&self, hash: &[u8], purpose: TokenPurpose) -> Result<Option<LoginToken>>;
    /// Removes all tokens of a login and purpose.
    async fn revoke_tokens(&self, login: &Login, purpose: TokenPurpose) -> Result<()>;
    async fn expire_tokens(&self, now: OffsetDateTime) -> Result<()>;
}
