//! Calls to the server's REST interface.

use std::fmt::Write as _;

use reqwest::{Method, RequestBuilder, Response, Url, header};
use serde_json::Value;

use super::error::CliError;
use crate::http_client;

/// Most items of one page.
const PAGE: usize = 1000;

/// A server, and who we are there.
#[derive(Debug)]
pub(super) struct Client {
    base: Url,
    key: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(server: &str, key: String) -> Result<Self, CliError> {
        Ok(Self { base: server_url(server)?, key, http: http_client::builder().build()? })
    }

    /// A request below `/api/v1`; each part is one segment of the path, whatever it contains.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        self.http.request(method, url).header(header::AUTHORIZATION, format!("Bearer {}", self.key))
    }

    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, CliError> {
        json(self.request(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, CliError> {
        json(self.request(Method::POST, path).json(body)).await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), CliError> {
        send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Every item of a list, page by page.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, CliError> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut request = self.request(Method::GET, path).query(query);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let mut page = json(request).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => all.extend(items),
                _ => return Err(CliError::Failed { why: "the server's list has no items".into() }),
            }
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            // A server that repeats itself must not keep us here.
            if next.is_none() || next == after {
                return Ok(all);
            }
            after = next;
        }
    }

    /// The first `limit` items of a list that may be very long.
    pub(super) async fn some(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<Vec<Value>, CliError> {
        let (mut all, mut after) = (Vec::<Value>::new(), None::<String>);
        while all.len() < limit {
            let count = (limit - all.len()).min(PAGE);
            let request = self.request(Method::GET, path).query(query).query(&[("limit", count)]);
            let mut page = json(request.query(&[("after", &after)])).await?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                all.extend(items);
            }
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() || next == after {
                break;
            }
            after = next;
        }
        Ok(all)
    }
}

/// The address of a server, checked.
pub(super) fn server_url(server: &str) -> Result<Url, CliError> {
    let url = Url::parse(server)
        .map_err(|error| CliError::usage(format!("--server {server:?} is no address: {error}")))?;
    if url.scheme() != "http" {
        return Err(CliError::usage(format!("--server {server:?} does not begin with http://")));
    }
    Ok(url)
}

/// Sends, and turns every answer that is no success into its problem.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, CliError> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return Ok(response);
    }
    let text = response.text().await?;
    Err(refused(status, &text))
}

/// What a server says that does not do what it was asked.
pub(super) fn refused(status: reqwest::StatusCode, text: &str) -> CliError {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let said = problem.get("detail").and_then(Value::as_str);
    let mut detail = said.map_or_else(|| format!("the server answers {status}"), str::to_owned);
    if let Some(right) = problem.get("missing_right").and_then(Value::as_str)
        && !detail.contains(right)
    {
        write!(detail, " (missing: {right})").expect("a String takes all");
    }
    for problem in problem.get("problems").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
        let block = problem.get("block").and_then(Value::as_u64);
        let block = block.map(|block| format!("block {block}, ")).unwrap_or_default();
        write!(detail, "\n  {block}{}: {}", text("field"), text("reason"))
            .expect("a String takes all");
    }
    CliError::Refused { status: status.as_u16(), detail }
}

pub(super) async fn json(request: RequestBuilder) -> Result<Value, CliError> {
    let body = send(request).await?.bytes().await?;
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
}
