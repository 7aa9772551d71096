//! Errors as `application/problem+json` (RFC 9457). The only place where use cases' errors become HTTP.

use axum::{
    Json,
    extract::{
        rejection::{JsonRejection, PathRejection, QueryRejection},
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::app::{AppError, error::Problem};

/// What a client is told.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemDetails {
    /// Kind of the problem, stable, such as `not-found`.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What happened to this request, and what to do.
    detail: String,
    /// The right that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_right: Option<String>,
    /// What is wrong with what was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError(Box<ProblemDetails>);

/// What handlers answer.
pub type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self(Box::new(ProblemDetails {
            kind,
            title,
            status: status.as_u16(),
            detail,
            missing_right: None,
            problems: Vec::new(),
            retry_after_s: None,
        }))
    }

    /// What a client is told.
    pub(super) const fn details(&self) -> &ProblemDetails {
        &self.0
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request is malformed", detail.into())
    }

    pub(super) fn range(size: u64) -> Self {
        let detail = format!("there are {size} bytes, and none of the wanted range");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "no-such-range", "No such range", detail)
    }

    pub(super) fn forbidden_origin() -> Self {
        let detail = "the request comes from a page of another origin".to_owned();
        Self::new(StatusCode::FORBIDDEN, "wrong-origin", "Wrong origin", detail)
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let detail = error.to_string();
        match error {
            AppError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
            }
            AppError::Refused(refusal) => {
                let mut problem =
                    Self::new(StatusCode::FORBIDDEN, "forbidden", "A right is missing", detail);
                problem.0.missing_right = Some(refusal.missing.to_string());
                problem
            }
            AppError::Unauthenticated { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Not logged in", detail)
            }
            AppError::Invalid { problems, .. } => {
                let mut problem =
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Not valid", detail);
                problem.0.problems = problems;
                problem
            }
            AppError::Conflict { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", "Not possible now", detail)
            }
            AppError::Stale { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "stale", "Changed meanwhile", detail)
            }
            AppError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
            }
            AppError::TooMany { retry_after_s } => {
                let mut problem = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too-many",
                    "Too many attempts",
                    detail,
                );
                problem.0.retry_after_s = Some(retry_after_s);
                problem
            }
            AppError::Unreachable { .. } => Self::new(
                StatusCode::BAD_GATEWAY,
                "unreachable",
                "The studio can't be reached",
                detail,
            ),
            AppError::Internal { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                let detail = format!("{detail}; the server's log says why");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
            }
        }
    }
}

impl From<crate::domain::ids::InvalidId> for ApiError {
    fn from(error: crate::domain::ids::InvalidId) -> Self {
        AppError::from(error).into()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(status, "too-large", "Too large", rejection.body_text());
        }
        Self::bad_request(rejection.body_text())
    }
}

impl From<WebSocketUpgradeRejection> for ApiError {
    fn from(rejection: WebSocketUpgradeRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after_s;
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) async fn no_such_operation() -> ApiError {
    AppError::not_found("operation", "at this address").into()
}

pub(super) async fn no_such_method() -> ApiError {
    let detail = "this address has no operation of that method".to_owned();
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "No such method", detail)
}
