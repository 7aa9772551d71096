//! Identifiers. Each is a type of its own, validated when made, so that one can't be passed for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct InvalidId {
    /// What it should have been.
    pub what: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What is expected.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let text = text.chars().take(64).collect();
                    Err(InvalidId { what: $what, text, rule: $rule })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        id!($(#[$doc])* $name, $what, "8 characters of lower-case base32 (a-z, 2-7)", is_base32);
        impl $name {
            /// A new one, from the system's random numbers: 40 bits.
            pub fn random() -> Self {
                Self(data_encoding::BASE32_NOPAD.encode(&rand::random::<[u8; 5]>()).to_lowercase())
            }
        }
    };
}

fn is_base32(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

random_id!(
    /// A studio.
    StudioId, "studio id"
);
random_id!(
    /// A template.
    TemplateId, "template id"
);
random_id!(
    /// One attempt to build a template's image.
    BuildId, "build id"
);
random_id!(
    /// A durable task.
    TaskId, "task id"
);
random_id!(
    /// An API key (its public part).
    ApiKeyId, "API key id"
);

id!(
    /// A project's key.
    ProjectKey, "project key", "a capital letter, then capital letters, digits and _, at most 64 in all",
    |t| t.len() <= 64
        && t.starts_with(|c: char| c.is_ascii_uppercase())
        && t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
);
id!(
    /// A user's login name, or a service account's.
    Login, "login", "1 to 64 of a-z, 0-9, '.', '_', '-', '@', beginning with a letter or digit",
    |t| is_name(t) && !t.bytes().any(|b| b.is_ascii_uppercase())
);
id!(
    /// A group's name.
    GroupName, "group name", "1 to 64 letters, digits, '.', '_', '-', '@', beginning with a letter or digit",
    is_name
);

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_valid_and_differ() {
        let (a, b) = (StudioId::random(), StudioId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse(), Ok(a));
    }

    #[test]
    fn hostile_texts_are_refused() {
        for text in ["", "../../..", "ABCDEFGH", "abcdefg1", "abcdefghi", "abc\0efgh"] {
            assert!(text.parse::<StudioId>().is_err(), "{text:?}");
        }
        for text in ["", "demo", "1A", "_A", "A-B", "A/B", "É"] {
            assert!(text.parse::<ProjectKey>().is_err(), "{text:?}");
        }
        for text in ["", "Alice", "-a", "a/b", "a b", ".."] {
            assert!(text.parse::<Login>().is_err(), "{text:?}");
        }
    }
}
