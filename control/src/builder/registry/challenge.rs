//! What a registry wants to see: the header `WWW-Authenticate`. (RFC 9110 §11.6.1)

use std::collections::BTreeMap;

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token, to be had at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// The first way of a header that we know.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let realm = parameters.remove("realm").filter(|realm| !realm.is_empty())?;
        Some(Self::Bearer { realm, service: parameters.remove("service") })
    }
}

/// `a="b",c=d`, with backslashes in quotes.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let name: String = std::iter::from_fn(|| letters.next_if(|c| *c != '='))
            .filter(|c| !c.is_whitespace() && *c != ',')
            .collect();
        letters.next();
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            while let Some(letter) = letters.next() {
                match letter {
                    '"' => break,
                    '\\' => value.extend(letters.next()),
                    _ => value.push(letter),
                }
            }
            while letters.next_if(|c| *c != ',').is_some() {}
        } else {
            value.extend(std::iter::from_fn(|| letters.next_if(|c| *c != ',')));
        }
        if !name.is_empty() {
            found.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            let service = service.map(ToOwned::to_owned);
            Some(Challenge::Bearer { realm: realm.into(), service })
        };
        let header = r#"Bearer realm="https://auth.example/token",service="a, \"b\"",scope="repository:x:pull,push""#;
        assert_eq!(
            Challenge::parse(header),
            bearer("https://auth.example/token", Some("a, \"b\""))
        );
        assert_eq!(Challenge::parse("bearer realm=http://x"), bearer("http://x", None));
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        for wrong in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm"] {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
    }
}
