//! The one place where time comes from.

use std::sync::Arc;

use time::OffsetDateTime;

/// Wall clock. Handed down as an argument, so that tests decide what time it is.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// What is handed around.
pub type SharedClock = Arc<dyn Clock>;
