//! How long a crashed entrypoint waits before its next start.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// An entrypoint that ran for so long has recovered.
const RECOVERED: Duration = Duration::from_mins(1);

/// Doubles from 0.5 s to 30 s; begins anew after a minute of running.
#[derive(Debug, Default)]
pub(super) struct RestartBackoff {
    failures: u32,
}

impl RestartBackoff {
    pub(super) fn next(&mut self, ran_for: Duration) -> Duration {
        if ran_for >= RECOVERED {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_limit_and_recovers() {
        let mut backoff = RestartBackoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.next(RECOVERED), FIRST);
    }
}
