//! Who makes a request: a browser by its cookie, or anybody by an API key.
//!
//! A browser sends its cookie with whatever request a page makes, so one that changes something must come from a page of
//! our own: its `Origin` is the host that it goes to. A key is sent by those who mean it.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};

use super::{State, problem::ApiError};
use crate::{
    app::AppError,
    domain::{permission::Principal, user::Scope},
};

/// Name of a browser's cookie. The proxy keeps every cookie that begins with `atelier` from applications.
pub(super) const COOKIE: &str = "atelier-session";

/// The caller, authenticated.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &State) -> Result<Self, ApiError> {
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Ok(Self(principal.clone()));
        }
        let principal = authenticate(&parts.method, &parts.headers, services).await?;
        // A key that reads changes nothing, whatever the use case asks for.
        if !parts.method.is_safe() {
            principal.require_scope(Scope::Write).map_err(AppError::from)?;
        }
        parts.extensions.insert(principal.clone());
        Ok(Self(principal))
    }
}

/// Finds out who it is.
pub(super) async fn authenticate(
    method: &Method,
    headers: &HeaderMap,
    services: &State,
) -> Result<Principal, ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let key = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let key = key.ok_or_else(|| AppError::Unauthenticated {
            why: "the API key goes behind \"Bearer \"".into(),
        })?;
        return Ok(services.login.by_api_key(key.trim()).await?);
    }
    let session = session_of(headers);
    let session = session.ok_or_else(|| AppError::Unauthenticated {
        why: "neither a session nor an API key".into(),
    })?;
    if !method.is_safe() {
        check_origin(headers)?;
    }
    Ok(services.login.by_session(session).await?)
}

/// The session in the cookies.
pub(super) fn session_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Refuses what a page of another origin sends.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else {
        return Err(ApiError::forbidden_origin());
    };
    match origin.split_once("://") {
        Some(("http" | "https", authority)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(ApiError::forbidden_origin()),
    }
}
