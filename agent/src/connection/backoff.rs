//! When to dial again.

use std::time::Duration;

/// For so long after the loss, attempts spread over [`FIRST_SPREAD`].
const FIRST: Duration = Duration::from_secs(30);
const FIRST_SPREAD: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(10);

/// Full jitter over 0–3 s for 30 s after the loss, then exponential to 10 s. Thousands of agents lose a control plane at the
/// same instant: none of them may come back at the same instant.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    waited: Duration,
    doublings: u32,
}

impl Backoff {
    /// Begins anew; call it when a connection was admitted.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The next wait. `jitter` is 0..1. The control plane's wish is a lower bound, and is spread too.
    pub(super) fn next(&mut self, jitter: f64, retry_after: Option<Duration>) -> Duration {
        let spread = if self.waited < FIRST {
            FIRST_SPREAD
        } else {
            self.doublings = (self.doublings + 1).min(8);
            (FIRST_SPREAD * 2_u32.saturating_pow(self.doublings)).min(LONGEST)
        };
        let wait = spread.mul_f64(jitter.clamp(0.0, 1.0)) + retry_after.unwrap_or_default();
        // An attempt costs time even where the dice say 0.
        self.waited += wait.max(Duration::from_millis(100));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_over_three_seconds_then_grows_to_ten() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.next(1.0, None), FIRST_SPREAD);
        }
        assert_eq!(backoff.next(1.0, None), Duration::from_secs(6));
        assert_eq!(backoff.next(1.0, None), LONGEST);
        assert_eq!(backoff.next(0.5, None), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next(0.0, None), Duration::ZERO);
        assert_eq!(backoff.next(0.5, Some(Duration::from_secs(4))), Duration::from_millis(5_500));
    }
}
