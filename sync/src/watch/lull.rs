//! When to synchronise what changes live: soon after a save, and not in the middle of a storm.

use std::time::Duration;

/// Longer than an editor takes between emptying a file and writing it.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(400);
/// A storm that goes on is not waited for any longer.
const MOST: Duration = Duration::from_secs(4);

/// Waits for changes to pause: a moment after one, longer and longer while more come, as from `git checkout` or `npm install`.
#[derive(Debug, Default)]
pub struct Lull {
    told: Option<u64>,
    waited: Duration,
    last: Duration,
}

impl Lull {
    /// How long to wait before asking again; `None`: now is the time. `told`: changes so far ([`Watch::told`](crate::Watch::told)).
    pub fn wait(&mut self, told: u64) -> Option<Duration> {
        if self.told == Some(told) || self.waited >= MOST {
            return None;
        }
        self.told = Some(told);
        self.last = (self.last * 2).clamp(SHORTEST, LONGEST);
        self.waited += self.last;
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_save_waits_a_moment_and_a_storm_longer_but_not_for_ever() {
        let mut lull = Lull::default();
        assert_eq!(lull.wait(1), Some(SHORTEST));
        assert_eq!(lull.wait(1), None);
        let mut lull = Lull::default();
        let waits: Vec<Duration> = (0..1_000).map_while(|told| lull.wait(told)).collect();
        assert!(waits.is_sorted() && waits.last() == Some(&LONGEST));
        let all: Duration = waits.iter().sum();
        assert!(all >= MOST && all <= MOST + LONGEST, "{all:?}");
    }
}
