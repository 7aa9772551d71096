//! What the world is told about one entrypoint.

use proto::agent::v1::{EntrypointState, Exit, ReadinessLevel, event::What};

use crate::events::Events;

/// The state; every change becomes an event, and what is no change does not.
#[derive(Debug)]
pub(super) struct Reported {
    state: EntrypointState,
    events: Events,
}

impl Reported {
    pub(super) fn new(id: &str, events: Events) -> Self {
        let state = EntrypointState { id: id.to_owned(), ..EntrypointState::default() };
        Self { state, events }
    }

    pub(super) fn level(&self) -> ReadinessLevel {
        self.state.readiness()
    }

    pub(super) fn restarts(&self) -> u32 {
        self.state.restarts
    }

    pub(super) fn count_restart(&mut self) {
        self.state.restarts = self.state.restarts.saturating_add(1);
    }

    /// A process runs.
    pub(super) fn started(&mut self, pid: i32) {
        self.state.pid = pid;
        self.change(ReadinessLevel::Started, String::new());
    }

    /// No process runs any more.
    pub(super) fn ended(&mut self, exit: Exit) {
        self.state.pid = 0;
        self.state.last_exit = Some(exit);
    }

    /// Reports a level with its reason; `since` moves only with the level.
    pub(super) fn change(&mut self, level: ReadinessLevel, reason: String) {
        let before = self.state.clone();
        if self.state.readiness() != level || self.state.since_ms == 0 {
            self.state.since_ms = crate::clock::wall_ms();
        }
        self.state.set_readiness(level);
        self.state.reason = reason;
        let known = self.events.entrypoint(&self.state.id);
        if self.state != before || known.as_ref() != Some(&self.state) {
            self.events.push(What::Entrypoint(self.state.clone()));
        }
    }
}
