//! How a registry is convinced: it says what it wants to see at the first request, and is shown that from then on.
//! (<https://distribution.github.io/distribution/spec/auth/token/>)

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use super::{Registry, RegistryError, Repository, challenge::Challenge, credentials::Credentials};

/// What the protocol grants where the answer does not say.
const DEFAULT_LIFE: u64 = 60;
/// A token is not shown in the last part of its life.
const MARGIN: Duration = Duration::from_secs(10);
/// Kept tokens. One per repository and kind of access, so that this many are plenty.
const LIMIT: usize = 1000;

/// Rights that a request needs, such as `repository:a/b:pull,push`. Mounting needs those of two repositories at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    pub(super) fn pull(repository: &Repository) -> Self {
        Self(vec![format!("repository:{}:pull", repository.name)])
    }

    pub(super) fn push(repository: &Repository) -> Self {
        Self(vec![format!("repository:{}:pull,push", repository.name)])
    }

    pub(super) fn delete(repository: &Repository) -> Self {
        Self(vec![format!("repository:{}:pull,push,delete", repository.name)])
    }

    pub(super) fn mount(from: &Repository, to: &Repository) -> Self {
        let mut scopes = Self::push(to).0;
        scopes.extend(Self::pull(from).0);
        Self(scopes)
    }
}

/// What registries have granted, by registry and scopes.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<(String, Scopes), Granted>>);

#[derive(Clone)]
struct Granted {
    header: String,
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

impl Registry {
    /// The header that was good for these scopes a moment ago.
    pub(super) async fn known_header(&self, registry: &str, scopes: &Scopes) -> Option<String> {
        let tokens = self.tokens.0.lock().await;
        let granted = tokens.get(&(registry.to_owned(), scopes.clone()))?;
        let good = granted.until.is_none_or(|until| Instant::now() + MARGIN < until);
        good.then(|| granted.header.clone())
    }

    /// A header that answers a challenge; `None`: there are no credentials, and none will come.
    pub(super) async fn answer(
        &self,
        registry: &str,
        scopes: &Scopes,
        challenge: &Challenge,
    ) -> Result<Option<String>, RegistryError> {
        let credentials = Credentials::of(registry, &self.settings).await?;
        let granted = match (challenge, credentials) {
            (Challenge::Basic, Credentials::Password { user, password }) => {
                let pair = STANDARD.encode(format!("{user}:{password}"));
                Some(Granted { header: format!("Basic {pair}"), until: None })
            }
            (Challenge::Basic, _) => None,
            (Challenge::Bearer { .. }, Credentials::Token(token)) => {
                Some(Granted { header: format!("Bearer {token}"), until: None })
            }
            (Challenge::Bearer { realm, service }, credentials) => {
                Some(self.token(registry, scopes, realm, service.as_deref(), credentials).await?)
            }
        };
        let Some(granted) = granted else { return Ok(None) };
        let mut tokens = self.tokens.0.lock().await;
        let now = Instant::now();
        tokens.retain(|_, granted| granted.until.is_none_or(|until| now < until));
        if tokens.len() >= LIMIT {
            tokens.clear();
        }
        tokens.insert((registry.to_owned(), scopes.clone()), granted.clone());
        Ok(Some(granted.header))
    }

    async fn token(
        &self,
        registry: &str,
        scopes: &Scopes,
        realm: &str,
        service: Option<&str>,
        credentials: Credentials,
    ) -> Result<Granted, RegistryError> {
        let url = self.realm(registry, realm)?;
        let request = match credentials {
            Credentials::IdentityToken(identity) => {
                let mut form = vec![("grant_type", "refresh_token"), ("client_id", "atelier")];
                let scope = scopes.0.join(" ");
                form.extend([("refresh_token", identity.as_str()), ("scope", scope.as_str())]);
                form.extend(service.map(|service| ("service", service)));
                self.http.post(url).form(&form)
            }
            Credentials::Password { user, password } => {
                let request = self.http.get(asking(url, scopes, service));
                request.basic_auth(user, Some(password))
            }
            Credentials::Anonymous | Credentials::Token(_) => {
                self.http.get(asking(url, scopes, service))
            }
        };
        let unreachable =
            |source| RegistryError::Unreachable { registry: registry.to_owned(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_client_error() {
            let what = format!("have {}", scopes.0.join(" and "));
            return Err(RegistryError::Denied { registry: registry.to_owned(), what });
        }
        let strange = |why| RegistryError::Protocol { registry: registry.to_owned(), why };
        if !status.is_success() {
            return Err(strange(format!("{status} where it hands out tokens")));
        }
        let answer: Answer = response.json().await.map_err(unreachable)?;
        let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if token.is_empty() {
            return Err(strange("an empty token".into()));
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE));
        let until = Some(Instant::now() + life);
        Ok(Granted { header: format!("Bearer {token}"), until })
    }

    /// Where tokens are handed out, if credentials may go there: never without TLS to a host that is not named for it.
    fn realm(&self, registry: &str, realm: &str) -> Result<reqwest::Url, RegistryError> {
        let strange = |why: String| RegistryError::Protocol { registry: registry.to_owned(), why };
        let url: reqwest::Url =
            realm.parse().map_err(|error| strange(format!("{realm:?}: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        if url.scheme() == "https"
            || (url.scheme() == "http" && self.settings.scheme(&host) == "http")
        {
            return Ok(url);
        }
        Err(strange(format!("it wants credentials to be sent to {realm:?}, without TLS")))
    }
}

fn asking(mut url: reqwest::Url, scopes: &Scopes, service: Option<&str>) -> reqwest::Url {
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.0.iter().map(|scope| ("scope", scope)));
    }
    url
}
