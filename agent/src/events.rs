//! What happened, in order, for everybody who watches.
//!
//! Invariant: sequence numbers rise by one; at most [`KEPT`] events are kept; a watcher that comes too late learns what it
//! missed as a gap, followed by the state as it was then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::agent::v1::{EntrypointState, Event, Gap, MountSight, Phase, event::What};
use tokio::sync::watch;

const KEPT: usize = 4_096;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Mutex<Log>,
    changed: watch::Sender<u64>,
    delivered: watch::Sender<u64>,
}

#[derive(Debug)]
struct Log {
    kept: VecDeque<Event>,
    last_seq: u64,
    phase: Phase,
    entrypoints: BTreeMap<String, EntrypointState>,
    sights: BTreeMap<String, MountSight>,
}

impl Default for Events {
    fn default() -> Self {
        let log = Log {
            kept: VecDeque::new(),
            last_seq: 0,
            phase: Phase::Waiting,
            entrypoints: BTreeMap::new(),
            sights: BTreeMap::new(),
        };
        Self(Arc::new(Inner {
            log: Mutex::new(log),
            changed: watch::Sender::new(0),
            delivered: watch::Sender::new(0),
        }))
    }
}

impl Events {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, what: What) {
        let mut log = self.log();
        match &what {
            What::Phase(phase) => log.phase = Phase::try_from(*phase).unwrap_or(Phase::Unspecified),
            What::Entrypoint(state) => {
                log.entrypoints.insert(state.id.clone(), state.clone());
            }
            What::MountSight(sight) => {
                log.sights.insert(sight.mount_id.clone(), sight.clone());
            }
            What::SyncWanted(_) | What::SessionEnded(_) | What::Dropped(_) | What::Notice(_) => {}
        }
        log.last_seq += 1;
        let seq = log.last_seq;
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.kept.push_back(Event { seq, at_ms: crate::clock::wall_ms(), what: Some(what) });
        drop(log);
        self.0.changed.send_replace(seq);
    }

    /// Something people should know; also logged.
    pub(crate) fn notice(&self, text: String) {
        tracing::warn!(notice = %text);
        self.push(What::Notice(text));
    }

    pub(crate) fn phase(&self) -> Phase {
        self.log().phase
    }

    /// By id.
    pub(crate) fn entrypoints(&self) -> Vec<EntrypointState> {
        self.log().entrypoints.values().cloned().collect()
    }

    pub(crate) fn entrypoint(&self, id: &str) -> Option<EntrypointState> {
        self.log().entrypoints.get(id).cloned()
    }

    /// An entrypoint that no manifest names any more.
    pub(crate) fn forget_entrypoint(&self, id: &str) {
        self.log().entrypoints.remove(id);
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.log().last_seq
    }

    /// Changes to the number of the newest event.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// A watcher of the control plane has been given everything up to `seq`.
    pub(crate) fn mark_delivered(&self, seq: u64) {
        self.0.delivered.send_if_modified(|before| {
            let more = seq > *before;
            *before = seq.max(*before);
            more
        });
    }

    /// The newest event that a watcher of the control plane has been given.
    pub(crate) fn delivered(&self) -> watch::Receiver<u64> {
        self.0.delivered.subscribe()
    }

    /// All that came after `seq`, at most `limit` of them. What is no longer kept is replaced by a gap and the state now.
    pub(crate) fn after(&self, seq: u64, limit: usize) -> Vec<Event> {
        let log = self.log();
        let oldest = log.last_seq + 1 - log.kept.len() as u64;
        // A number from another life of the agent says nothing here.
        let seq = if seq > log.last_seq { 0 } else { seq };
        let missed = seq + 1 < oldest;
        let mut events = Vec::new();
        if missed {
            let at_ms = crate::clock::wall_ms();
            let event = |what| Event { seq: oldest - 1, at_ms, what: Some(what) };
            events.push(event(What::Dropped(Gap { from: seq, to: oldest - 1 })));
            events.push(event(What::Phase(log.phase.into())));
            events.extend(
                log.entrypoints.values().cloned().map(|state| event(What::Entrypoint(state))),
            );
            events.extend(log.sights.values().cloned().map(|sight| event(What::MountSight(sight))));
        }
        let skip = usize::try_from((seq + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        events.extend(log.kept.iter().skip(skip).take(limit).cloned());
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_watcher_learns_what_it_missed() {
        let events = Events::default();
        assert!(events.after(0, 10).is_empty());
        events.push(What::Phase(Phase::Running.into()));
        for index in 0..KEPT {
            events.push(What::Notice(index.to_string()));
        }
        let got = events.after(0, 1);
        assert_eq!(got.first().unwrap().what, Some(What::Dropped(Gap { from: 0, to: 1 })));
        assert_eq!(got.get(1).unwrap().what, Some(What::Phase(Phase::Running.into())));
        assert_eq!(got.get(2).unwrap().seq, 2);
        let last = events.last_seq();
        assert!(events.after(last, 10).is_empty());
        assert_eq!(events.after(last - 1, 10).len(), 1);
        assert_eq!(
            events.after(last + 5, 10).first().unwrap().what,
            Some(What::Dropped(Gap { from: 0, to: 1 }))
        );
    }
}
