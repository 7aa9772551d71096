//! Logging in and out.

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::{COOKIE, Caller, check_origin, session_of},
    extract::Path,
    problem::{ApiError, Result},
};
use crate::domain::ids::{GroupName, Login};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(log_out))
        .routes(routes!(me))
        .routes(routes!(change_password))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub login: Login,
    pub password: String,
}

/// The caller's own account.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Me {
    pub login: Login,
    pub name: String,
    pub email: String,
    pub admin: bool,
    pub groups: Vec<GroupName>,
    /// Whether a password is set.
    pub has_password: bool,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present one; anything where none is set.
    #[serde(default)]
    pub old: String,
    pub new: String,
}

/// A cookie for this session. `Lax`, so that a link from elsewhere finds its reader logged in; `Secure` where the page is.
fn cookie(session: &str, headers: &HeaderMap, lasts_s: u32) -> HeaderValue {
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lasts_s}{secure}");
    HeaderValue::from_str(&text).expect("tokens are base32")
}

const WEEK_S: u32 = 7 * 24 * 3600;

/// Log in by password; sets the session's cookie.
#[utoipa::path(post, path = "/auth/login", operation_id = "logIn", tag = "auth", request_body = Credentials,
    responses((status = 200, body = Me), (status = 401), (status = 429)))]
async fn log_in(
    Extract(services): Extract<State>,
    headers: HeaderMap,
    body: std::result::Result<Json<Credentials>, axum::extract::rejection::JsonRejection>,
) -> Result<Response> {
    // Somebody else's page must not log its reader in as somebody.
    if headers.contains_key(header::ORIGIN) {
        check_origin(&headers)?;
    }
    let Json(body) = body?;
    let (_, session) = services.login.by_password(&body.login, &body.password).await?;
    let who = services.login.by_session(&session).await?;
    let me = own_account(&services, &who).await?;
    Ok(([(header::SET_COOKIE, cookie(&session, &headers, WEEK_S))], Json(me)).into_response())
}

/// End the session.
#[utoipa::path(post, path = "/auth/logout", operation_id = "logOut", tag = "auth", responses((status = 204)))]
async fn log_out(
    Extract(services): Extract<State>,
    _caller: Caller,
    headers: HeaderMap,
) -> Result<Response> {
    if let Some(session) = session_of(&headers) {
        services.login.log_out(session).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", &headers, 0))]).into_response())
}

/// The caller's own account.
#[utoipa::path(get, path = "/auth/me", operation_id = "getMe", tag = "auth", responses((status = 200, body = Me), (status = 401)))]
async fn me(Extract(services): Extract<State>, Caller(who): Caller) -> Result<Json<Me>> {
    Ok(Json(own_account(&services, &who).await?))
}

async fn own_account(services: &State, who: &crate::domain::permission::Principal) -> Result<Me> {
    let user = services.login.me(who).await?;
    Ok(Me {
        login: user.login,
        name: user.name,
        email: user.email,
        admin: user.admin,
        groups: who.groups.iter().cloned().collect(),
        has_password: user.password_hash.is_some(),
    })
}

/// Change the caller's own password; all their sessions end.
#[utoipa::path(post, path = "/auth/password", operation_id = "changePassword", tag = "auth", request_body = PasswordChange,
    responses((status = 204), (status = 422)))]
async fn change_password(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<PasswordChange>, axum::extract::rejection::JsonRejection>,
) -> Result<StatusCode> {
    let Json(body) = body?;
    services.login.change_password(&who, &body.old, &body.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A one-time link: logs its first reader in.
pub(super) async fn use_link(
    Extract(services): Extract<State>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> std::result::Result<Response, ApiError> {
    let session = services.login.by_link(&token).await?;
    Ok(([(header::SET_COOKIE, cookie(&session, &headers, WEEK_S))], Redirect::to("/"))
        .into_response())
}
