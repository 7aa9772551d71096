//! What the agent proves itself with.

use std::sync::{Mutex, PoisonError};

use crate::config::{ConfigError, Token};

/// The session key once there is one, else the token.
#[derive(Debug)]
pub(crate) struct Credential {
    token: Token,
    session_key: Mutex<Option<String>>,
}

impl Credential {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, session_key: Mutex::default() }
    }

    /// For the next Hello.
    pub(crate) fn now(&self) -> Result<String, ConfigError> {
        let key = self.session_key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match key {
            Some(key) => Ok(key),
            None => self.token.read(),
        }
    }

    pub(crate) fn exchange(&self, session_key: String) {
        *self.session_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(session_key);
    }

    /// Goes back to the token. Whether there was a session key.
    pub(crate) fn forget_session_key(&self) -> bool {
        self.session_key.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}
