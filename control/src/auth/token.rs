//! Random tokens: 160 bits, shown once, kept as SHA-256. So much randomness needs no slow hash.

use sha2::{Digest as _, Sha256};

use crate::domain::ids::ApiKeyId;

/// What an API key begins with, so that scanners of leaked secrets know it.
const API_KEY_PREFIX: &str = "atl_";

/// A new token: 32 characters of lower-case base32.
pub fn random() -> String {
    data_encoding::BASE32_NOPAD.encode(&rand::random::<[u8; 20]>()).to_lowercase()
}

/// The token of a subject: the same each time, and nobody can tell it without the secret.
pub fn derived(secret: &[u8; 32], subject: &str, number: u64) -> String {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&number.to_be_bytes());
    hasher.update(subject.as_bytes());
    let mut bytes = [0; 20];
    hasher.finalize_xof().fill(&mut bytes);
    data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase()
}

/// What is kept of a token.
pub fn hash(token: &str) -> Vec<u8> {
    digest(token.as_bytes())
}

/// SHA-256 of any bytes.
pub fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Compares hashes in a time that does not depend on where they differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// `atl_<id>_<secret>`
pub fn api_key(id: &ApiKeyId, secret: &str) -> String {
    format!("{API_KEY_PREFIX}{id}_{secret}")
}

/// Id and secret of an API key's text.
pub fn split_api_key(text: &str) -> Option<(ApiKeyId, &str)> {
    let (id, secret) = text.strip_prefix(API_KEY_PREFIX)?.split_once('_')?;
    Some((id.parse().ok()?, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_splits_into_what_it_was_made_of() {
        let (id, secret) = (ApiKeyId::random(), random());
        let text = api_key(&id, &secret);
        assert_eq!(split_api_key(&text), Some((id, secret.as_str())));
        for wrong in ["", "atl_", "atl_x_y", "abc", "atl_abcdefgh"] {
            assert_eq!(split_api_key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_derived_token_is_its_subject_s_alone() {
        let token = derived(&[1; 32], "abcdefgh", 7);
        assert_eq!((token.len(), &token), (32, &derived(&[1; 32], "abcdefgh", 7)));
        for other in [
            derived(&[2; 32], "abcdefgh", 7),
            derived(&[1; 32], "abcdefgi", 7),
            derived(&[1; 32], "abcdefgh", 8),
        ] {
            assert_ne!(token, other);
        }
    }

    #[test]
    fn equality_looks_at_every_byte() {
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd") && !equal(b"abc", b"ab") && !equal(b"xbc", b"abc"));
    }
}
