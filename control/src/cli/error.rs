//! What a verb can end with beside success, and the program's exit code for it.

use std::process::ExitCode;

/// The codes are documented in `docs/guide/cli.md`; scripts rely on them.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{why}")]
    Usage { why: String },
    /// What was asked for was tried and did not succeed: a build, a start.
    #[error("{why}")]
    Failed { why: String },
    #[error("{detail}")]
    Refused { status: u16, detail: String },
    /// A command in a studio ended so. It has said itself what there is to say.
    #[error("the command ended with exit code {code}")]
    Exited { code: u8 },
    /// A synchronisation left something that a person has to decide.
    #[error(
        "{conflicts} conflicts and {questions} questions are left; `atelier conflicts list` shows them"
    )]
    Left { conflicts: usize, questions: usize },
    /// Not the command in the studio failed, but we.
    #[error(transparent)]
    Ours(Box<Self>),
    #[error("can't reach the server")]
    Unreachable(#[from] reqwest::Error),
    #[error("the server's answer is not JSON")]
    Answer(#[from] serde_json::Error),
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl CliError {
    pub(super) fn usage(why: impl Into<String>) -> Self {
        Self::Usage { why: why.into() }
    }

    /// For `map_err`: names what was being done.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For verbs whose exit code is that of a command.
    pub(super) fn ours(self) -> Self {
        match self {
            Self::Exited { .. } => self,
            error => Self::Ours(Box::new(error)),
        }
    }

    /// 1 failed, 2 usage, 3 not found, 4 refused, 5 not possible in the present state.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Exited { code } => *code,
            Self::Ours(_) => 125,
            Self::Left { .. } => 3,
            Self::Failed { .. } | Self::Unreachable(_) | Self::Answer(_) | Self::Io { .. } => 1,
            Self::Refused { status, .. } => match status {
                400 | 422 => 2,
                404 => 3,
                401 | 403 => 4,
                409 | 412 => 5,
                _ => 1,
            },
        }
    }
}

impl From<&CliError> for ExitCode {
    fn from(error: &CliError) -> Self {
        Self::from(error.code())
    }
}
