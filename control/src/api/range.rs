//! Contents in parts: one range of bytes, as browsers and downloaders ask for it.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::problem::ApiError;
use crate::zones::Range;

/// What a request wants of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: so it is too where the form is one that is not served.
    Whole,
    Part(Range),
    /// What is behind its end.
    Nothing,
}

pub(super) fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let value = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = value.and_then(|value| value.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else { return Wanted::Whole };
    let (from, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, last.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if last.is_empty() => (from, size),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Wanted::Whole,
    };
    if from < end { Wanted::Part(Range { from, length: end - from }) } else { Wanted::Nothing }
}

/// The answer of which this is only a part.
pub(super) fn partial(mut response: Response, part: Range, size: u64) -> Response {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let text = format!("bytes {}-{}/{size}", part.from, part.from + part.length - 1);
    insert(&mut response, header::CONTENT_RANGE, &text);
    response
}

pub(super) fn unsatisfiable(size: u64) -> Response {
    let mut response = ApiError::range(size).into_response();
    insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

fn insert(response: &mut Response, name: header::HeaderName, text: &str) {
    let value = HeaderValue::from_str(text).expect("numbers are good in a header");
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_content_of_ten_bytes() {
        let part = |from, length| Wanted::Part(Range { from, length });
        for (text, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=7-", part(7, 3)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-40", part(0, 10)),
            ("bytes=8-99999999999999999", part(8, 2)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=5-4", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, text.parse().unwrap())]);
            assert_eq!(wanted(&headers, 10), expected, "{text}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }
}
