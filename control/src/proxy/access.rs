//! Who may open a port: the question that HTTP and WebSocket requests alike have to pass.
//!
//! The proxy knows cookies, tickets and keys; who a session belongs to and what its user may do is asked of an `Authorizer`.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::routes::StudioRoute;
use crate::domain::ids::{Login, StudioId};

/// Somebody who has signed in, or whose key was shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    pub user: Login,
    /// Names the session or key, so that it can be revoked; not a secret, and no credential.
    pub session: String,
}

/// Why somebody may not open a port; shown to them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{missing}")]
pub struct Refusal {
    /// Which right is missing, as a sentence.
    pub missing: String,
}

/// What a bearer token or Basic user name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    Valid(Principal),
    /// It has the form of our keys, but is unknown, expired or revoked.
    Invalid,
    /// Not our form: the application's own affair, passed on.
    NotOurs,
}

/// What the proxy asks of the rest of the control plane. All must answer in milliseconds; positive answers of `session_holds` and
/// `may_open` are kept for `VERDICT_SECONDS`.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// The session of the main origin that these headers carry.
    async fn session_from_main_cookie(&self, headers: &HeaderMap) -> Option<Principal>;

    /// Whether the session (or key) is still good and still that user's.
    async fn session_holds(&self, principal: &Principal) -> bool;

    /// Whether they may open this port of this studio: a key may do less than its user.
    async fn may_open(
        &self,
        who: &Principal,
        studio: &StudioRoute,
        port: u16,
    ) -> Result<(), Refusal>;

    /// What this API key is. Decides by the key's form whether it is one of ours at all.
    async fn api_key(&self, key: &str) -> KeyVerdict;
}

/// How long a positive answer is used again: a page of an IDE is hundreds of requests.
pub const VERDICT_SECONDS: i64 = 2;

/// Positive answers that are kept at most.
const MAX_VERDICTS: usize = 10_000;

/// Why a principal does not get in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Sign in again.
    SessionGone,
    Refused(Refusal),
}

type Admission = (Principal, StudioId, u16);

/// Positive answers of the last moments.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Admission → unix seconds until which it counts.
    kept: Mutex<HashMap<Admission, i64>>,
}

impl Verdicts {
    /// Asks whether `principal` may open the port now, or remembers.
    pub(super) async fn admit(
        &self,
        authorizer: &dyn Authorizer,
        principal: &Principal,
        studio: &StudioRoute,
        port: u16,
        now: OffsetDateTime,
    ) -> Result<(), Denied> {
        let now = now.unix_timestamp();
        let admission = (principal.clone(), studio.id.clone(), port);
        if self.lock().get(&admission).is_some_and(|&until| until > now) {
            return Ok(());
        }
        if !authorizer.session_holds(principal).await {
            return Err(Denied::SessionGone);
        }
        authorizer.may_open(principal, studio, port).await.map_err(Denied::Refused)?;
        let mut kept = self.lock();
        if kept.len() >= MAX_VERDICTS {
            kept.clear();
        }
        kept.insert(admission, now + VERDICT_SECONDS);
        Ok(())
    }

    /// Forgets all, so that the next request of everybody is asked about anew.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Admission, i64>> {
        self.kept.lock().expect("nothing panics while holding it")
    }
}

/// The text that could be an API key: a bearer token, or a Basic user name with an empty password.
pub(super) fn offered_key(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) =
        headers.get(AUTHORIZATION).map(HeaderValue::to_str)?.ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(rest.as_bytes()).ok()?).ok()?;
    pair.strip_suffix(':').filter(|user| !user.contains(':')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_as_bearer_or_basic_user() {
        let offered = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            offered_key(&headers)
        };
        assert_eq!(offered("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(offered(&format!("basic {}", BASE64.encode(b"abc:"))), Some("abc".to_owned()));
        assert_eq!(offered(&format!("Basic {}", BASE64.encode(b"abc:pw"))), None);
        assert_eq!(offered("token abc"), None);
        assert_eq!(offered("Basic ???"), None);
        assert_eq!(offered_key(&HeaderMap::new()), None);
    }
}
