//! What a use case can answer beside success. The edges map this, exhaustively, to their own forms.

use crate::{
    domain::{ids::InvalidId, permission::Refusal},
    store::StoreError,
};

/// One thing that is wrong with what a user sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Place of the block in the template, from 0, where it is about one.
    pub block: Option<usize>,
    /// Path of the field, such as `exclusions[2]`.
    pub field: String,
    /// What is wrong, and what is expected.
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is none, or the caller may not know that there is.
    #[error("there is no {what} {id}")]
    NotFound { what: &'static str, id: String },
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not logged in, or no longer.
    #[error("log in first: {why}")]
    Unauthenticated { why: String },
    /// What was sent is malformed or against the rules.
    #[error("{what} is not valid")]
    Invalid { what: String, problems: Vec<Problem> },
    /// It can't be done in the present state.
    #[error("{why}")]
    Conflict { why: String },
    /// What the caller saw is no longer so.
    #[error("{why}")]
    Stale { why: String },
    #[error("too large: {why}")]
    TooLarge { why: String },
    #[error("too many attempts; try again in {retry_after_s} s")]
    TooMany { retry_after_s: u64 },
    /// The studio's agent can't be reached now; its applications may well go on.
    #[error("the studio can't be reached: {why}")]
    Unreachable { why: String },
    /// Not the caller's fault. The log has the chain.
    #[error("{what} failed")]
    Internal {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AppError {
    pub fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string().chars().take(200).collect() }
    }

    /// One field is wrong.
    pub fn invalid(field: &str, reason: impl Into<String>) -> Self {
        let problems =
            vec![Problem { block: None, field: field.to_owned(), reason: reason.into() }];
        Self::Invalid { what: field.to_owned(), problems }
    }

    pub fn conflict(why: impl Into<String>) -> Self {
        Self::Conflict { why: why.into() }
    }

    pub fn internal(
        what: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Internal { what, source: Box::new(source) }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists { .. } => Self::Conflict { why: error.to_string() },
            StoreError::Stale { .. } => Self::Stale { why: error.to_string() },
            StoreError::Corrupt { .. } | StoreError::Unavailable(_) | StoreError::Migration(_) => {
                Self::internal("the store", error)
            }
        }
    }
}

impl From<InvalidId> for AppError {
    fn from(error: InvalidId) -> Self {
        Self::invalid(error.what, error.to_string())
    }
}

/// Checks a text for people: its length in characters, and that it has no control characters.
pub fn check_text(field: &str, text: &str, longest: usize) -> Result<(), AppError> {
    if text.trim().is_empty()
        || text.chars().count() > longest
        || text.chars().any(char::is_control)
    {
        return Err(AppError::invalid(
            field,
            format!("1 to {longest} characters, none of them a control character"),
        ));
    }
    Ok(())
}

/// As [`check_text`], but may be empty and have several lines.
pub fn check_prose(field: &str, text: &str, longest: usize) -> Result<(), AppError> {
    if text.chars().count() > longest || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(AppError::invalid(
            field,
            format!("at most {longest} characters, no control characters but new lines"),
        ));
    }
    Ok(())
}
