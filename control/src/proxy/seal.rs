//! Small signed texts: what a ticket and a cookie are made of.
//!
//! Form: `base64url(JSON).base64url(HMAC-SHA256(key, purpose || 0 || JSON))`. The purpose keeps a ticket from passing as a cookie. The
//! content is readable by its holder; nothing secret goes in.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Ticket,
    Cookie,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"atelier app ticket v1",
            Self::Cookie => b"atelier app cookie v1",
        }
    }
}

/// Longest text that is looked at.
const MAX: usize = 4096;

/// Signs and checks.
#[derive(Clone)]
pub(super) struct Sealer {
    key: Hmac<Sha256>,
}

impl Sealer {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { key: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length") }
    }

    fn mac(&self, purpose: Purpose, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(purpose.label());
        mac.update(&[0]);
        mac.update(content);
        mac
    }

    pub(super) fn seal<T: Serialize>(&self, purpose: Purpose, value: &T) -> String {
        let content = serde_json::to_vec(value).expect("plain structs of texts and numbers");
        let tag = self.mac(purpose, &content).finalize().into_bytes();
        format!("{}.{}", BASE64URL_NOPAD.encode(&content), BASE64URL_NOPAD.encode(&tag))
    }

    /// The value, if this key sealed it for this purpose.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        if text.len() > MAX {
            return None;
        }
        let (content, tag) = text.split_once('.')?;
        let content = BASE64URL_NOPAD.decode(content.as_bytes()).ok()?;
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        self.mac(purpose, &content).verify_slice(&tag).ok()?;
        serde_json::from_slice(&content).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_purpose_open_it() {
        let (ours, other) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let text = ours.seal(Purpose::Ticket, &("ann", 7));
        let open =
            |sealer: &Sealer, purpose, text: &str| sealer.open::<(String, u32)>(purpose, text);
        assert_eq!(open(&ours, Purpose::Ticket, &text), Some(("ann".to_owned(), 7)));
        assert_eq!(open(&ours, Purpose::Cookie, &text), None);
        assert_eq!(open(&other, Purpose::Ticket, &text), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(open(&ours, Purpose::Ticket, &forged), None, "{at}");
        }
        for text in ["", ".", "a", "a.b.c", &"x".repeat(5000)] {
            assert_eq!(open(&ours, Purpose::Ticket, text), None);
        }
    }
}
