//! Random names.

use data_encoding::BASE32_NOPAD;

/// 80 random bits in lower-case base32: 16 characters.
pub(crate) fn random_id() -> String {
    BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_lowercase()
}
