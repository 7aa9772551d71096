//! What a failed call means, in the use cases' words; and the deadline that every call has.

use std::{future::Future, time::Duration};

use tonic::{Code, Response, Status};

use crate::app::AppError;

/// Longest text of a hostile peer that is passed on.
const LONGEST: usize = 2_000;

/// A call with its deadline.
pub(super) async fn call<T>(
    deadline: Duration,
    what: &'static str,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, AppError> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(from_status(what, &status)),
        Err(_) => Err(AppError::Unreachable { why: "its agent did not answer in time".to_owned() }),
    }
}

/// "Gone" has two codes: after a lost connection, and after a keepalive that nobody answered.
pub(super) fn from_status(what: &'static str, status: &Status) -> AppError {
    let text: String = status.message().chars().take(LONGEST).collect();
    match status.code() {
        Code::Unavailable | Code::Cancelled => gone(),
        // Made on this side, by a stream that broke: what the agent says has no source.
        Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => gone(),
        Code::NotFound => AppError::NotFound { what, id: text },
        Code::InvalidArgument | Code::OutOfRange => AppError::invalid(what, text),
        Code::FailedPrecondition | Code::AlreadyExists | Code::PermissionDenied | Code::Aborted => {
            AppError::conflict(text)
        }
        Code::ResourceExhausted => AppError::TooLarge { why: text },
        Code::DeadlineExceeded => {
            AppError::Unreachable { why: "its agent did not answer in time".to_owned() }
        }
        Code::Ok
        | Code::Unknown
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => AppError::internal(what, status.clone()),
    }
}

pub(super) fn gone() -> AppError {
    AppError::Unreachable { why: "its agent is not connected".to_owned() }
}
