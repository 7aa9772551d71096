//! Passwords, hashed by Argon2id with the crate's defaults (19 MiB, 2 passes, as OWASP recommends).
//!
//! Hashing takes tens of milliseconds of one core, so it happens on a blocking thread.

use argon2::{
    Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash::SaltString,
};

/// The hash failed: out of memory.
#[derive(Debug, thiserror::Error)]
#[error("the password can't be hashed: {0}")]
pub struct HashError(String);

/// In PHC form.
pub async fn hash(password: String) -> Result<String, HashError> {
    let hashed = tokio::task::spawn_blocking(move || {
        let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
        Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    match hashed.await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(error)) => Err(HashError(error.to_string())),
        Err(error) => Err(HashError(error.to_string())),
    }
}

/// Whether it is the password; without a hash `false`, after the same work.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    // Argon2id of a random password that nobody knows.
    const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let verified = tokio::task::spawn_blocking(move || {
        let text = hash.as_deref().unwrap_or(NOBODYS);
        PasswordHash::new(text).is_ok_and(|parsed| {
            Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
        }) && hash.is_some()
    });
    verified.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let kept = hash("correct horse".into()).await.unwrap();
        assert!(verify("correct horse".into(), Some(kept.clone())).await);
        assert!(!verify("wrong horse".into(), Some(kept)).await);
        assert!(!verify("anything".into(), None).await);
        assert!(!verify("anything".into(), Some("not a hash".into())).await);
    }
}
