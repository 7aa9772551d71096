//! API keys: personal ones, and those that administrators make for service accounts.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{AppError, audit::AuditLog, error::check_text};
use crate::{
    auth::token,
    clock::SharedClock,
    domain::{
        ids::{ApiKeyId, Login},
        permission::Principal,
        user::{ApiKey, Scope},
    },
    store::Store,
};

pub struct ApiKeyService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
}

impl ApiKeyService {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock, audit: AuditLog) -> Self {
        Self { store, clock, audit }
    }

    /// Makes a key and answers with its text, which is never shown again. Nobody makes a key that may do more than the
    /// one they use; only administrators make keys for others.
    pub async fn create(
        &self,
        who: &Principal,
        label: &str,
        scope: Scope,
        expires_at: Option<OffsetDateTime>,
        for_login: Option<Login>,
    ) -> Result<(ApiKey, String), AppError> {
        who.require_scope(scope)?;
        let login = for_login.unwrap_or_else(|| who.login.clone());
        if login != who.login {
            who.require_admin()?;
            if self.store.user(&login).await?.is_none() {
                return Err(AppError::not_found("user", &login));
            }
        }
        check_text("label", label, 100)?;
        if expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(AppError::invalid("expires_at", "a time to come"));
        }
        let (key, text) = self.issue(login, label, scope, expires_at).await?;
        self.audit.record(&who.login, "api_key.create", &key.id, label).await?;
        Ok((key, text))
    }

    /// For the installation's own start, where nobody is logged in yet.
    pub async fn issue(
        &self,
        login: Login,
        label: &str,
        scope: Scope,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<(ApiKey, String), AppError> {
        let secret = token::random();
        let key = ApiKey {
            id: ApiKeyId::random(),
            login,
            label: label.to_owned(),
            scope,
            secret_hash: token::hash(&secret),
            created_at: self.clock.now(),
            expires_at,
        };
        self.store.create_api_key(&key).await?;
        let text = token::api_key(&key.id, &secret);
        Ok((key, text))
    }

    pub async fn list(&self, who: &Principal) -> Result<Vec<ApiKey>, AppError> {
        Ok(self.store.api_keys_of(&who.login).await?)
    }

    pub async fn delete(&self, who: &Principal, id: &ApiKeyId) -> Result<(), AppError> {
        let key =
            self.store.api_key(id).await?.ok_or_else(|| AppError::not_found("API key", id))?;
        if key.login != who.login {
            who.require_admin()?;
        }
        self.store.delete_api_key(id).await?;
        self.audit.record(&who.login, "api_key.delete", id, &key.label).await
    }
}
