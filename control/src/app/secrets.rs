//! Secrets that are derived, so that they survive restarts without being kept.

use crate::domain::ids::StudioId;

/// Secrets of studios: each opens its studio's applications, and nothing else.
#[derive(Clone)]
pub struct StudioSecrets {
    key: [u8; 32],
}

impl StudioSecrets {
    /// The instance's own key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// 64 hexadecimal digits, the same for the same studio.
    pub fn of(&self, studio: &StudioId) -> String {
        blake3::keyed_hash(&self.key, format!("studio {studio}").as_bytes()).to_hex().to_string()
    }
}
