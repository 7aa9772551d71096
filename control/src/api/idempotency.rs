//! `Idempotency-Key`: a POST that is repeated with the same key is answered as the first time, without being done again.
//!
//! While the first is under way, its repetitions are refused. Answers that show a secret (new API keys, log-ins) are never kept: secrets lie in the store as hashes only.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State as Extract},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use time::Duration;

use super::{
    JSON_LIMIT_BYTES, State,
    caller::authenticate,
    problem::{ApiError, Result},
};
use crate::{app::AppError, auth::token, domain::ids::Login, store::IdempotentAnswer};

const HEADER: &str = "idempotency-key";
/// How long answers are kept.
const KEPT: Duration = Duration::days(1);
/// Larger answers are not kept.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// Requests with a key.
pub(super) struct Replays {
    services: State,
    under_way: Mutex<HashSet<(Login, String)>>,
}

impl Replays {
    pub(super) fn new(services: State) -> Self {
        Self { services, under_way: Mutex::default() }
    }

    /// `None`: another request of the same key is under way.
    fn enter(&self, login: &Login, key: &str) -> Option<Entered<'_>> {
        let mine = (login.clone(), key.to_owned());
        let mut under_way = self.under_way.lock().expect("nobody panics while they hold this");
        under_way.insert(mine.clone()).then(|| Entered { replays: self, mine })
    }
}

/// A request that is under way, until it is answered or given up.
struct Entered<'a> {
    replays: &'a Replays,
    mine: (Login, String),
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let under_way = self.replays.under_way.lock();
        under_way.expect("nobody panics while they hold this").remove(&self.mine);
    }
}

pub(super) async fn replay(
    Extract(replays): Extract<Arc<Replays>>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let services = &replays.services;
    let key =
        request.headers().get(HEADER).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    // Below `/api/v1`, where this layer sits, or with it.
    let path = request.uri().path();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let secret = path.starts_with("/api-keys") || path.starts_with("/auth/");
    let Some(key) = key.filter(|_| request.method() == Method::POST && !secret) else {
        return Ok(next.run(request).await);
    };
    if key.is_empty() || key.len() > 200 {
        return Err(ApiError::bad_request("an idempotency key has 1 to 200 characters"));
    }
    let who = authenticate(request.method(), request.headers(), services).await?;
    let Some(_entered) = replays.enter(&who.login, &key) else {
        let why = "the first request with this idempotency key is still under way; repeat this one in a moment";
        return Err(AppError::conflict(why).into());
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, JSON_LIMIT_BYTES).await.map_err(|_| AppError::TooLarge {
        why: "with an idempotency key a body has at most 4 MiB".into(),
    })?;
    let request_hash = token::digest(&[parts.uri.to_string().as_bytes(), b"\0", &body].concat());
    if let Some(kept) = services.store.answer(&who.login, &key).await.map_err(AppError::from)? {
        if kept.request_hash != request_hash {
            return Err(
                AppError::conflict("this idempotency key was used for another request").into()
            );
        }
        let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        let json = HeaderValue::from_static("application/json");
        return Ok((status, [(header::CONTENT_TYPE, json)], kept.body).into_response());
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body: Bytes = to_bytes(body, ANSWER_LIMIT_BYTES).await.map_err(|_| {
        AppError::conflict("this operation's answer is too large to be kept under a key")
    })?;
    let now = services.clock.now();
    let answer =
        IdempotentAnswer { request_hash, status: parts.status.as_u16(), body: body.to_vec() };
    services.store.expire_answers(now - KEPT).await.map_err(AppError::from)?;
    services.store.put_answer(&who.login, &key, now, &answer).await.map_err(AppError::from)?;
    Ok(Response::from_parts(parts, Body::from(body)))
}
