//! What live synchronisations deleted in the last minutes: a slow `rm -rf` is a mass deletion too, though each run sees little
//! of it. Once the question is asked it stands until somebody answers it, or nothing is to be deleted any more.

use std::{collections::VecDeque, time::Duration};

use sync::{Losses, Side};
use time::OffsetDateTime;
use tokio::time::Instant;

/// How long a deletion counts.
const WINDOW: Duration = Duration::from_mins(10);
/// Runs within so long count as one, so that few are kept.
const STEP: Duration = Duration::from_secs(5);

/// From the beginning of the first run that deleted to the end of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
}

#[derive(Debug)]
struct Run {
    at: Instant,
    losses: Losses,
    /// `None`: a program before this one did not tell.
    span: Option<Span>,
}

#[derive(Debug, Default)]
pub(super) struct RecentLosses {
    /// Oldest first.
    runs: VecDeque<Run>,
    /// A question waits: nothing expires.
    stands: bool,
    /// What a program before this one asked is known.
    is_seeded: bool,
}

impl RecentLosses {
    pub(super) const fn is_seeded(&self) -> bool {
        self.is_seeded
    }

    /// What counted already in questions that wait since before this program.
    pub(super) fn seed(&mut self, now: Instant, open: Option<(Losses, Option<Span>)>) {
        if !self.is_seeded {
            self.is_seeded = true;
            self.stands = open.is_some();
            self.runs.extend(open.map(|(losses, span)| Run { at: now, losses, span }));
        }
    }

    /// When all that counts went.
    pub(super) fn span(&self) -> Option<Span> {
        self.runs.iter().filter_map(|run| run.span).reduce(|all, run| Span {
            since: all.since.min(run.since),
            until: all.until.max(run.until),
        })
    }

    pub(super) fn before(&mut self, now: Instant) -> Losses {
        while !self.stands && self.runs.front().is_some_and(|run| now - run.at > WINDOW) {
            self.runs.pop_front();
        }
        let mut all = Losses::default();
        for run in &self.runs {
            add(&mut all, run.losses);
        }
        all
    }

    /// A run has ended.
    pub(super) fn note(&mut self, now: Instant, losses: Losses, span: Span, asks: bool) {
        self.stands = asks;
        if losses == Losses::default() {
            return;
        }
        match self.runs.back_mut().filter(|run| now - run.at < STEP) {
            Some(Run { losses: counted, span: Some(counted_span), .. }) => {
                add(counted, losses);
                counted_span.until = span.until;
            }
            Some(_) | None => self.runs.push_back(Run { at: now, losses, span: Some(span) }),
        }
    }

    /// Somebody has said what was meant.
    pub(super) fn answered(&mut self) {
        self.runs.clear();
        self.stands = false;
    }
}

fn add(all: &mut Losses, more: Losses) {
    for side in [Side::Server, Side::Studio] {
        *all.by_mut(side) = all.by(side).saturating_add(more.by(side));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(by_studio: u64) -> Losses {
        Losses { by_server: 0, by_studio }
    }

    fn span(since: i64, until: i64) -> Span {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        Span { since: at(since), until: at(until) }
    }

    #[test]
    fn deletions_count_for_a_while_and_as_long_as_a_question_waits() {
        let (mut recent, mut now) = (RecentLosses::default(), Instant::now());
        let begun = now;
        recent.seed(now, None);
        while now < begun + WINDOW {
            recent.note(now, of(1), span(0, 0), false);
            now += Duration::from_secs(1);
        }
        assert_eq!(recent.before(now), of(600));
        assert!(recent.runs.len() <= 121, "{}", recent.runs.len());
        assert_eq!(recent.before(now + WINDOW + STEP), of(0));
        recent.note(now, of(3), span(0, 0), false);
        recent.note(now, of(0), span(0, 0), true);
        assert_eq!(recent.before(now + WINDOW * 2), of(3), "it stands");
        recent.answered();
        assert_eq!(recent.before(now), of(0));
    }

    #[test]
    fn what_a_program_before_asked_is_asked_still() {
        let now = Instant::now();
        let mut recent = RecentLosses::default();
        recent.seed(now, Some((of(7), None)));
        recent.seed(now, Some((of(7), None)));
        assert_eq!(recent.before(now + WINDOW * 2), of(7));
        recent.note(now, of(0), span(0, 0), false);
        assert_eq!(recent.before(now + WINDOW * 2), of(0), "the files came back");
    }

    #[test]
    fn what_counts_went_in_a_span_of_time() {
        let now = Instant::now();
        let mut recent = RecentLosses::default();
        recent.seed(now, Some((of(7), Some(span(10, 20)))));
        assert_eq!(recent.span(), Some(span(10, 20)));
        recent.note(now, of(1), span(30, 31), false);
        recent.note(now, of(1), span(40, 41), false);
        recent.note(now + STEP, of(1), span(50, 51), false);
        recent.note(now + STEP, of(0), span(60, 61), true);
        assert_eq!(recent.span(), Some(span(10, 51)), "nothing went in the last run");
        recent.answered();
        assert_eq!(recent.span(), None);
    }
}
