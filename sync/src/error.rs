//! Why a run ended before its end. Whatever it did until then is whole, and the next run goes on from there.

use std::io;

use thiserror::Error;

use crate::{RelPath, link::LinkError};

#[derive(Debug, Error)]
pub enum Error {
    #[error("the synchronisation was cancelled")]
    Cancelled,
    #[error("the other side of the synchronisation is gone")]
    Link {
        #[from]
        source: LinkError,
    },
    /// The peer broke the protocol.
    #[error("the other side sent something wrong: {what}")]
    Protocol { what: String },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("what is known of earlier synchronisations can't be {what}")]
    State {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }

    /// `what`: "stage a file", as in "can't stage a file".
    pub(crate) fn io(what: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { what: format!("can't {what}"), source }
    }

    pub(crate) fn at<'a>(what: &'a str, path: &'a RelPath) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { what: format!("can't {what} {path}"), source }
    }

    /// Whether something that is wrongly remembered, here or there, can be the reason.
    pub(crate) fn may_be_of_memory(&self) -> bool {
        match self {
            Self::Protocol { .. } => true,
            Self::State { source, .. } => {
                let of_the_disk = matches!(source.downcast_ref(), Some(redb::Error::Io(_)))
                    || matches!(source.downcast_ref(), Some(redb::StorageError::Io(_)));
                !of_the_disk
            }
            Self::Cancelled | Self::Link { .. } | Self::Io { .. } => false,
        }
    }

    /// With its causes, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
