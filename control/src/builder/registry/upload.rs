//! Uploads: small blobs in one request, large ones in parts, so that a broken connection costs one part and no more.

use std::{io::SeekFrom, path::Path, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use reqwest::{Body, Response, Url};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_util::io::ReaderStream;

use super::{
    Content, Descriptor, Registry, RegistryError, Repository,
    auth::Scopes,
    challenge::Challenge,
    request::{Ask, refused},
};

/// Of a file that is read at once.
const READ: usize = 256 << 10;
/// Failures in a row, none of which got further than any before.
const STUCK: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

impl Registry {
    /// Sends a blob into an upload that is open, and closes it. The registry checks the digest.
    pub(super) async fn upload(
        &self,
        to: &Repository,
        session: Url,
        blob: &Descriptor,
        content: &Content,
    ) -> Result<(), RegistryError> {
        match content {
            Content::Bytes(bytes) => self.put_bytes(to, session, blob, bytes.clone()).await,
            Content::File(path) if blob.size <= self.part_bytes => {
                let body = part(path, 0, blob.size).await?;
                self.put_stream(to, session, blob, body).await
            }
            Content::File(path) => self.put_parts(to, session, blob, path).await,
            Content::Remote(from) => {
                let body = Body::wrap_stream(self.blob(from, blob).await?);
                self.put_stream(to, session, blob, body).await
            }
        }
    }

    async fn put_bytes(
        &self,
        to: &Repository,
        session: Url,
        blob: &Descriptor,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let ask = Ask {
            method: Method::PUT,
            url: closing(session, blob),
            repository: to,
            scopes: Scopes::push(to),
            what: format!("upload to {to}"),
            headers: vec![(header::CONTENT_TYPE, "application/octet-stream".into())],
            body: Some(bytes),
        };
        closed(self.send(ask).await?, to).await
    }

    async fn put_stream(
        &self,
        to: &Repository,
        session: Url,
        blob: &Descriptor,
        body: Body,
    ) -> Result<(), RegistryError> {
        let url = closing(session, blob);
        let request = self.streamed(Method::PUT, url, to, blob.size).await?;
        let response = request.body(body).send().await;
        let unreachable =
            |source| RegistryError::Unreachable { registry: to.registry.clone(), source };
        closed(response.map_err(unreachable)?, to).await
    }

    async fn put_parts(
        &self,
        to: &Repository,
        mut session: Url,
        blob: &Descriptor,
        path: &Path,
    ) -> Result<(), RegistryError> {
        let (mut offset, mut furthest, mut stuck) = (0, 0, 0);
        while offset < blob.size {
            let length = self.part_bytes.min(blob.size - offset);
            let request = self.streamed(Method::PATCH, session.clone(), to, length).await?;
            let range = format!("{offset}-{}", offset + length - 1);
            let body = part(path, offset, length).await?;
            let failure = match request.header(header::CONTENT_RANGE, range).body(body).send().await
            {
                Ok(response) if response.status() == StatusCode::ACCEPTED => {
                    session = self.location(&response, to)?;
                    let there = received(&response).unwrap_or(offset + length).min(blob.size);
                    if there > furthest {
                        (furthest, stuck) = (there, 0);
                    }
                    if there > offset {
                        offset = there;
                        continue;
                    }
                    let why = format!("an upload to {to} stays at {offset} bytes");
                    RegistryError::Protocol { registry: to.registry.clone(), why }
                }
                Ok(response) if passing(response.status()) => {
                    refused(response, &to.registry, &format!("upload to {to}")).await
                }
                Ok(response) => {
                    return Err(refused(response, &to.registry, &format!("upload to {to}")).await);
                }
                Err(source) => RegistryError::Unreachable { registry: to.registry.clone(), source },
            };
            stuck += 1;
            if stuck == STUCK {
                return Err(failure);
            }
            tracing::info!(
                error = &failure as &dyn std::error::Error,
                offset,
                "a part of a blob is sent again"
            );
            tokio::time::sleep(PAUSE).await;
            (offset, session) = self.progress(to, session).await?;
        }
        self.put_bytes(to, session, blob, Bytes::new()).await
    }

    /// How many bytes an upload has, and where it goes on. An upload that the registry gave up begins anew.
    async fn progress(&self, to: &Repository, session: Url) -> Result<(u64, Url), RegistryError> {
        let ask = Ask {
            method: Method::GET,
            url: session.clone(),
            repository: to,
            scopes: Scopes::push(to),
            what: format!("say how far an upload to {to} is"),
            headers: Vec::new(),
            body: None,
        };
        let response = self.send(ask).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Ok((0, self.open_upload(to).await?));
        }
        let there = received(&response).unwrap_or(0);
        let address = if response.headers().contains_key(header::LOCATION) {
            self.location(&response, to)?
        } else {
            session
        };
        Ok((there, address))
    }

    /// A request whose body can be sent only once: what convinces the registry is found out before.
    async fn streamed(
        &self,
        method: Method,
        url: Url,
        to: &Repository,
        length: u64,
    ) -> Result<reqwest::RequestBuilder, RegistryError> {
        let authorization =
            if self.is_at(&url, &to.registry) { self.header_for_push(to).await? } else { None };
        let mut request = self
            .http
            .request(method, url)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    async fn header_for_push(&self, to: &Repository) -> Result<Option<String>, RegistryError> {
        let (registry, scopes) = (&to.registry, Scopes::push(to));
        if let Some(header) = self.known_header(registry, &scopes).await {
            return Ok(Some(header));
        }
        let unreachable =
            |source| RegistryError::Unreachable { registry: registry.clone(), source };
        let url = format!("{}://{registry}/v2/", self.settings.scheme(registry));
        let response = self.http.get(url).send().await.map_err(unreachable)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge =
            headers.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        match challenge {
            Some(challenge) => self.answer(registry, &scopes, &challenge).await,
            None => Ok(None),
        }
    }
}

/// The address that ends an upload.
fn closing(mut session: Url, blob: &Descriptor) -> Url {
    session.query_pairs_mut().append_pair("digest", blob.digest.as_str());
    session
}

async fn closed(response: Response, to: &Repository) -> Result<(), RegistryError> {
    if response.status() == StatusCode::CREATED {
        return Ok(());
    }
    Err(refused(response, &to.registry, &format!("upload to {to}")).await)
}

/// The registry is in trouble, has other bytes than we think, or wants us to wait.
fn passing(status: StatusCode) -> bool {
    let ours = [StatusCode::RANGE_NOT_SATISFIABLE, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || ours.contains(&status)
}

/// Bytes that an upload has, by its header `Range: 0-<last>`. (An empty one says `0-0`, as does one of a single byte: then
/// that byte is sent once more, which the registry refuses, and we ask.)
fn received(response: &Response) -> Option<u64> {
    let range = response.headers().get(header::RANGE)?.to_str().ok()?;
    let last: u64 = range.trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

async fn part(path: &Path, offset: u64, length: u64) -> Result<Body, RegistryError> {
    let what = || format!("the layer {} can't be read", path.display());
    let failed = |source| RegistryError::Local { what: what(), source };
    let mut file = File::open(path).await.map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
    Ok(Body::wrap_stream(ReaderStream::with_capacity(file.take(length), READ)))
}
