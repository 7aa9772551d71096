//! How much work compression is worth: on a slow link time is better spent on shrinking what is sent, on a fast one it is lost.

use std::time::Duration;

use crate::clock::Stopwatch;

/// Levels of zstd.
const LEVELS: [i32; 2] = [1, 3];
/// A decision holds for so much that was sent.
const STRETCH_BYTES: u64 = 2 << 20;
/// A link below this is slow (100 Mbit/s and a little), one above that is not. Between them it may as well be a peer that is busy with
/// what came, whose time is not won by spending more of this side's.
const SLOW_BYTES_A_SECOND: f64 = 14e6;
const FAST_BYTES_A_SECOND: f64 = 28e6;
/// Part of the time that is spent on waiting for the link, if it is what everything waits for: it, and not a peer that is busy
/// with what came.
const BUSY: f64 = 0.6;
/// Less says that it is something else.
const IDLE: f64 = 0.45;

/// Finds the level, stretch by stretch.
pub(super) struct Effort {
    level: usize,
    stretch: Stopwatch,
    bytes: u64,
    waited: Duration,
}

impl Effort {
    pub(super) fn new() -> Self {
        // What is small enough to be over before anything is known costs little, however hard it is squeezed.
        Self {
            level: LEVELS.len() - 1,
            stretch: Stopwatch::start(),
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    pub(super) fn level(&self) -> i32 {
        LEVELS.get(self.level).copied().unwrap_or(1)
    }

    /// So much was handed to the link, which took so long to take it. Answers whether the level is another now.
    pub(super) fn sent(&mut self, bytes: usize, waited: Duration) -> bool {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.bytes < STRETCH_BYTES {
            return false;
        }
        let took = self.stretch.elapsed().as_secs_f64().max(1e-6);
        let better = self.better(took);
        let changed = better != self.level;
        *self = Self { level: better, ..Self::new() };
        changed
    }

    fn better(&self, took: f64) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.bytes as f64 / took;
        let waited = self.waited.as_secs_f64() / took;
        if rate > FAST_BYTES_A_SECOND || waited < IDLE {
            self.level.saturating_sub(1)
        } else if rate < SLOW_BYTES_A_SECOND && waited > BUSY {
            (self.level + 1).min(LEVELS.len() - 1)
        } else {
            self.level
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_link_is_worth_more_work_than_a_fast_one() {
        let mut effort = Effort { level: 0, ..Effort::new() };
        (effort.bytes, effort.waited) = (10 << 20, Duration::from_millis(900));
        assert_eq!(effort.better(1.0), 1, "it waits for the link");
        effort.waited = Duration::from_millis(100);
        assert_eq!(effort.better(1.0), 0, "it waits for something else");
        effort.level = 1;
        assert_eq!(effort.better(1.0), 0, "work is lost on what does not wait for the link");
        effort.waited = Duration::from_millis(500);
        assert_eq!(effort.better(1.0), 1, "it can't be told");
        effort.level = 0;
        assert_eq!(effort.better(1.0), 0, "it can't be told");
        (effort.level, effort.waited) = (1, Duration::from_millis(900));
        assert_eq!(effort.better(0.1), 0, "100 MB/s");
        assert_eq!(effort.better(0.5), 1, "neither slow nor fast");
    }
}
