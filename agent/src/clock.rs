//! The only place that asks the machine for the time of day.
//!
//! Durations are measured with [`tokio::time::Instant`], which tests can pause; wall time only labels events.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds; 0 when the machine's clock stands before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
