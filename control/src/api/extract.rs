//! Parameters of a request: those that are malformed are answered with a problem, as every error is.

use axum::extract::{FromRequestParts, Path as PlainPath, Query as PlainQuery};

use super::problem::ApiError;

/// In the path.
#[derive(FromRequestParts)]
#[from_request(via(PlainPath), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// Behind the `?`.
#[derive(FromRequestParts)]
#[from_request(via(PlainQuery), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);
