//! One request to a registry: with what convinces it, again when it was away for a moment.

use std::time::Duration;

use http::{Method, StatusCode, header};
use reqwest::{Response, Url};

use super::{Registry, RegistryError, Repository, auth::Scopes, challenge::Challenge};

/// How often a request without a streamed body is sent when the registry can't be reached or is overburdened.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Of what a registry says about a failure.
const DETAIL: usize = 2 << 10;

/// What is asked, before it is known how the registry wants to be convinced.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) repository: &'a Repository,
    pub(super) scopes: Scopes,
    /// As in "does not let us …".
    pub(super) what: String,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: Option<bytes::Bytes>,
}

impl Registry {
    /// `path` below the repository's name.
    pub(super) fn url(&self, repository: &Repository, path: &str) -> Result<Url, RegistryError> {
        let registry = &repository.registry;
        let scheme = self.settings.scheme(registry);
        let text = format!("{scheme}://{registry}/v2/{}/{path}", repository.name);
        text.parse().map_err(|error| RegistryError::Name { text, why: format!("{error}") })
    }

    /// Sends it; answers of any status but 401 come back as they are.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Response, RegistryError> {
        let registry = &ask.repository.registry;
        let mut header = self.known_header(registry, &ask.scopes).await;
        let (mut convinced, mut pause) = (false, FIRST_PAUSE);
        let mut attempt = 1;
        loop {
            let mut request = self.http.request(ask.method.clone(), ask.url.clone());
            for (name, value) in &ask.headers {
                request = request.header(name, value);
            }
            // Uploads may be sent elsewhere, with an address that is a credential by itself. Ours are the registry's alone.
            if let Some(header) = header.as_ref().filter(|_| self.is_at(&ask.url, registry)) {
                request = request.header(header::AUTHORIZATION, header);
            }
            if let Some(body) = &ask.body {
                request = request.body(body.clone());
            } else if ask.method == Method::POST || ask.method == Method::PUT {
                request = request.header(header::CONTENT_LENGTH, "0");
            }
            let again = attempt < ATTEMPTS;
            match request.send().await {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !convinced => {
                    convinced = true;
                    header = self.challenged(&response, &ask).await?;
                    continue;
                }
                Ok(response) if is_passing(response.status()) && again => (),
                Ok(response) => return self.judged(response, &ask),
                Err(error) if (error.is_connect() || error.is_timeout()) && again => (),
                Err(source) => {
                    return Err(RegistryError::Unreachable { registry: registry.clone(), source });
                }
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Whether an address is the registry's own.
    pub(super) fn is_at(&self, url: &Url, registry: &str) -> bool {
        let own = format!("{}://{registry}/", self.settings.scheme(registry));
        own.parse::<Url>().is_ok_and(|own| own.origin() == url.origin())
    }

    async fn challenged(
        &self,
        response: &Response,
        ask: &Ask<'_>,
    ) -> Result<Option<String>, RegistryError> {
        let registry = &ask.repository.registry;
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge =
            headers.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let denied =
            || RegistryError::Denied { registry: registry.clone(), what: ask.what.clone() };
        let challenge = challenge.ok_or_else(denied)?;
        self.answer(registry, &ask.scopes, &challenge).await?.map(Some).ok_or_else(denied)
    }

    fn judged(&self, response: Response, ask: &Ask<'_>) -> Result<Response, RegistryError> {
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        // What is not the registry's own address has rights of its own to tell about.
        if refused.contains(&response.status())
            && self.is_at(response.url(), &ask.repository.registry)
        {
            return Err(RegistryError::Denied {
                registry: ask.repository.registry.clone(),
                what: ask.what.clone(),
            });
        }
        Ok(response)
    }
}

/// Answers that are likely to be others a moment later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// An answer that was not hoped for.
pub(super) async fn refused(response: Response, registry: &str, what: &str) -> RegistryError {
    let registry = registry.to_owned();
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return RegistryError::NotFound { registry, what: what.to_owned() };
    }
    let text = match response.text().await {
        Ok(text) => text,
        Err(error) => format!("its reason can't be read: {error}"),
    };
    let detail = text.chars().take(DETAIL).collect();
    RegistryError::Refused { registry, what: what.to_owned(), status: status.as_u16(), detail }
}
