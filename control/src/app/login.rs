//! Logging in: passwords, one-time links, browser sessions, API keys.

use std::{collections::HashMap, sync::Arc};

use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use super::{AppError, audit::AuditLog};
use crate::{
    auth::{password, token},
    clock::SharedClock,
    domain::{
        ids::Login,
        permission::Principal,
        user::{ApiKey, Scope, User},
    },
    store::{LoginToken, Store, TokenPurpose},
};

/// How long a browser stays logged in.
const SESSION: Duration = Duration::days(7);
/// How long a one-time link is good.
const LINK: Duration = Duration::hours(24);
/// Failed passwords for one login before it has to wait.
const TRIES: u32 = 10;
/// How long it has to wait.
const PAUSE: Duration = Duration::minutes(1);

/// Failed attempts of one login.
struct Failures {
    count: u32,
    last: OffsetDateTime,
}

pub struct LoginService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
    /// At most a few thousand: old ones are dropped whenever one is added.
    failures: Mutex<HashMap<Login, Failures>>,
}

impl LoginService {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock, audit: AuditLog) -> Self {
        Self { store, clock, audit, failures: Mutex::default() }
    }

    /// Checks a password; answers with a new session's token, for a cookie.
    pub async fn by_password(
        &self,
        login: &Login,
        given: &str,
    ) -> Result<(User, String), AppError> {
        self.check_pause(login).await?;
        let user = self.store.user(login).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        // The same work is done whether or not there is such a user, so that the time taken tells nothing.
        let right = password::verify(given.to_owned(), hash).await;
        match user {
            Some(user) if right => {
                self.failures.lock().await.remove(login);
                let token = self.open_session(login).await?;
                self.audit.record(login, "login.password", login, "").await?;
                Ok((user, token))
            }
            _ => {
                self.count_failure(login).await;
                Err(AppError::Unauthenticated { why: "login or password is wrong".into() })
            }
        }
    }

    async fn check_pause(&self, login: &Login) -> Result<(), AppError> {
        let now = self.clock.now();
        match self.failures.lock().await.get(login) {
            Some(failures) if failures.count >= TRIES && now - failures.last < PAUSE => {
                let left = (PAUSE - (now - failures.last)).whole_seconds().max(1);
                Err(AppError::TooMany { retry_after_s: left.unsigned_abs() })
            }
            _ => Ok(()),
        }
    }

    async fn count_failure(&self, login: &Login) {
        let now = self.clock.now();
        let mut failures = self.failures.lock().await;
        failures.retain(|_, failure| now - failure.last < PAUSE);
        let failure = failures.entry(login.clone()).or_insert(Failures { count: 0, last: now });
        failure.count += 1;
        failure.last = now;
    }

    /// Makes a link's token that logs in once.
    pub async fn create_link(&self, login: &Login) -> Result<String, AppError> {
        self.create_token(login, TokenPurpose::Link, LINK).await
    }

    /// Uses a link's token up; answers with a new session's token.
    pub async fn by_link(&self, given: &str) -> Result<String, AppError> {
        let taken = self.store.take_token(&token::hash(given), TokenPurpose::Link).await?;
        match taken {
            Some(link) if link.expires_at > self.clock.now() => {
                self.audit.record(&link.login, "login.link", &link.login, "").await?;
                self.open_session(&link.login).await
            }
            _ => Err(AppError::Unauthenticated {
                why: "this link was used before or has expired".into(),
            }),
        }
    }

    async fn open_session(&self, login: &Login) -> Result<String, AppError> {
        self.store.expire_tokens(self.clock.now()).await?;
        self.create_token(login, TokenPurpose::Session, SESSION).await
    }

    async fn create_token(
        &self,
        login: &Login,
        purpose: TokenPurpose,
        good_for: Duration,
    ) -> Result<String, AppError> {
        let text = token::random();
        let now = self.clock.now();
        let token = LoginToken {
            hash: token::hash(&text),
            purpose,
            login: login.clone(),
            created_at: now,
            expires_at: now + good_for,
        };
        self.store.create_token(&token).await?;
        Ok(text)
    }

    /// Ends a browser's session.
    pub async fn log_out(&self, session: &str) -> Result<(), AppError> {
        self.store.take_token(&token::hash(session), TokenPurpose::Session).await?;
        Ok(())
    }

    /// Who a session's cookie stands for.
    pub async fn by_session(&self, session: &str) -> Result<Principal, AppError> {
        self.by_session_hash(&token::hash(session)).await
    }

    async fn by_session_hash(&self, hash: &[u8]) -> Result<Principal, AppError> {
        let known = self.store.token(hash, TokenPurpose::Session).await?;
        match known {
            Some(known) if known.expires_at > self.clock.now() => {
                self.principal(&known.login, Scope::Admin).await
            }
            _ => Err(AppError::Unauthenticated { why: "the session has ended".into() }),
        }
    }

    /// Who an API key stands for.
    pub async fn by_api_key(&self, text: &str) -> Result<Principal, AppError> {
        let (id, secret) = token::split_api_key(text).ok_or_else(invalid_key)?;
        let key = self.store.api_key(&id).await?.ok_or_else(invalid_key)?;
        if !token::equal(&token::hash(secret), &key.secret_hash) {
            return Err(invalid_key());
        }
        self.by_key(key).await
    }

    async fn by_key(&self, key: ApiKey) -> Result<Principal, AppError> {
        if key.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(AppError::Unauthenticated { why: "the API key has expired".into() });
        }
        self.principal(&key.login, key.scope).await
    }

    /// Names a session without letting anybody in: for places that outlive a request, such as applications' cookies.
    pub fn reference_of_session(session: &str) -> String {
        format!("session:{}", data_encoding::HEXLOWER.encode(&token::hash(session)))
    }

    /// Names an API key likewise. `None`: it does not have the form of our keys.
    pub fn reference_of_api_key(text: &str) -> Option<String> {
        let (id, _) = token::split_api_key(text)?;
        Some(format!("key:{id}"))
    }

    /// Whom a reference stands for now. It proves nothing: whoever holds it must have checked session or key before.
    pub async fn by_reference(&self, reference: &str) -> Result<Principal, AppError> {
        match reference.split_once(':') {
            Some(("session", hash)) => {
                let hash = data_encoding::HEXLOWER.decode(hash.as_bytes());
                self.by_session_hash(&hash.map_err(|_| invalid_key())?).await
            }
            Some(("key", id)) => {
                let id = id.parse().map_err(|_| invalid_key())?;
                self.by_key(self.store.api_key(&id).await?.ok_or_else(invalid_key)?).await
            }
            _ => Err(invalid_key()),
        }
    }

    async fn principal(&self, login: &Login, scope: Scope) -> Result<Principal, AppError> {
        let user = self.store.user(login).await?;
        let user =
            user.ok_or_else(|| AppError::Unauthenticated { why: "the user is no more".into() })?;
        let groups = self.store.groups_of(login).await?.into_iter().collect();
        Ok(Principal { login: user.login, admin: user.admin, groups, scope })
    }

    /// The caller's own account.
    pub async fn me(&self, who: &Principal) -> Result<User, AppError> {
        self.store.user(&who.login).await?.ok_or_else(|| AppError::not_found("user", &who.login))
    }

    /// Changes the caller's own password; every other session of theirs ends.
    pub async fn change_password(
        &self,
        who: &Principal,
        old: &str,
        new: &str,
    ) -> Result<(), AppError> {
        who.require_scope(Scope::Admin)?;
        let mut user = self.me(who).await?;
        if user.password_hash.is_some() {
            self.check_pause(&who.login).await?;
            if !password::verify(old.to_owned(), user.password_hash.clone()).await {
                self.count_failure(&who.login).await;
                return Err(AppError::invalid("old", "this is not the present password"));
            }
        }
        user.password_hash = Some(hash_new(new).await?);
        self.store.update_user(&user).await?;
        self.store.revoke_tokens(&who.login, TokenPurpose::Session).await?;
        self.audit.record(&who.login, "user.password", &who.login, "").await
    }
}

/// Hashes a password that somebody chose, if it is one that may be chosen.
pub(super) async fn hash_new(password: &str) -> Result<String, AppError> {
    if !(10..=1024).contains(&password.chars().count()) {
        return Err(AppError::invalid("password", "10 to 1,024 characters"));
    }
    password::hash(password.to_owned())
        .await
        .map_err(|error| AppError::internal("hashing the password", error))
}

fn invalid_key() -> AppError {
    AppError::Unauthenticated { why: "the API key is not valid".into() }
}
