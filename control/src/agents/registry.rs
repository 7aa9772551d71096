//! Which agents are connected, and what is known of each.
//!
//! A studio has at most one control and one bulk connection that count. A newer incarnation, or a newer connection of the
//! same one, closes what was there before.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::agent::v1::HelloReply;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::convert;
use crate::domain::{agent::AgentView, ids::StudioId};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Control,
    Bulk,
}

/// A connection of an admitted agent.
#[derive(Clone)]
pub(super) struct Live {
    pub number: u64,
    pub channel: Channel,
    pub epoch: u64,
    pub pod_uid: String,
    pub boot_id: String,
    pub close: CancellationToken,
}

/// One studio's place.
pub(super) struct Slot {
    pub view: watch::Sender<AgentView>,
    pub control: watch::Sender<Option<Live>>,
    pub bulk: watch::Sender<Option<Live>>,
    order: Mutex<Order>,
}

/// Decides who may enter; its lock makes entering and locking out one after the other.
#[derive(Default)]
struct Order {
    /// Incarnations below this are locked out.
    newest: u64,
    /// Events that were seen of an agent process.
    seen: Option<(String, u64)>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            view: watch::Sender::default(),
            control: watch::Sender::new(None),
            bulk: watch::Sender::new(None),
            order: Mutex::default(),
        }
    }
}

impl Slot {
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a connection in its place.
    pub(super) fn enter(
        &self,
        kind: Use,
        live: Live,
        hello: &HelloReply,
    ) -> Result<(), &'static str> {
        let mut order = self.order();
        if live.epoch < order.newest {
            return Err("a newer incarnation has taken over");
        }
        match kind {
            Use::Control => {
                order.newest = live.epoch;
                let same = order.seen.as_ref().is_some_and(|(boot, _)| *boot == live.boot_id);
                if !same {
                    order.seen = None;
                }
                close(self.control.send_replace(Some(live)));
                // It belonged to the connection before; the agent drops its end too.
                close(self.bulk.send_replace(None));
                // Last: whoever waits for it calls at once.
                self.view.send_modify(|view| {
                    if !same {
                        *view = AgentView::default();
                    }
                    view.epoch = hello.epoch;
                    view.connected = true;
                    view.phase = convert::phase(hello.phase());
                    view.generation = hello.generation;
                });
            }
            Use::Bulk => {
                let belongs = self
                    .control
                    .borrow()
                    .as_ref()
                    .is_some_and(|control| control.boot_id == live.boot_id);
                if !belongs {
                    return Err("the agent has no control connection");
                }
                close(self.bulk.send_replace(Some(live)));
            }
        }
        Ok(())
    }

    /// Takes a connection out, unless another has taken its place.
    pub(super) fn leave(&self, kind: Use, number: u64) {
        let _order = self.order();
        let place = match kind {
            Use::Control => &self.control,
            Use::Bulk => &self.bulk,
        };
        let left = place.send_if_modified(|now| {
            let mine = now.as_ref().is_some_and(|live| live.number == number);
            if mine {
                *now = None;
            }
            mine
        });
        if left && kind == Use::Control {
            self.view.send_modify(|view| view.connected = false);
            close(self.bulk.send_replace(None));
        }
    }

    /// Locks older incarnations out and closes their connections.
    pub(super) fn supersede(&self, epoch: u64) {
        let mut order = self.order();
        order.newest = order.newest.max(epoch);
        for place in [&self.control, &self.bulk] {
            if let Some(live) = &*place.borrow()
                && live.epoch < epoch
            {
                live.close.cancel();
            }
        }
    }

    /// Number of the last event that was seen of this agent process; 0: none.
    pub(super) fn seen(&self, boot_id: &str) -> u64 {
        match &self.order().seen {
            Some((boot, seq)) if boot == boot_id => *seq,
            _ => 0,
        }
    }

    pub(super) fn mark_seen(&self, boot_id: &str, seq: u64) {
        self.order().seen = Some((boot_id.to_owned(), seq));
    }

    /// Adds something that people should know.
    pub(super) fn notice(&self, text: &str) {
        const KEPT: usize = 20;
        const LONGEST: usize = 1_000;
        self.view.send_modify(|view| {
            let mut notices: VecDeque<String> = std::mem::take(&mut view.notices).into();
            notices.push_back(text.chars().take(LONGEST).collect());
            while notices.len() > KEPT {
                notices.pop_front();
            }
            view.notices = notices.into();
        });
    }
}

fn close(live: Option<Live>) {
    if let Some(live) = live {
        live.close.cancel();
    }
}

#[derive(Default)]
pub(super) struct Registry {
    slots: Mutex<HashMap<StudioId, Arc<Slot>>>,
}

impl Registry {
    fn slots(&self) -> MutexGuard<'_, HashMap<StudioId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A studio's place, made when there is none.
    pub(super) fn slot(&self, studio: &StudioId) -> Arc<Slot> {
        Arc::clone(self.slots().entry(studio.clone()).or_default())
    }

    /// Without making one: ids from outside must not fill the table.
    pub(super) fn find(&self, studio: &StudioId) -> Option<Arc<Slot>> {
        self.slots().get(studio).cloned()
    }

    /// Removes a studio's place and closes its connections.
    pub(super) fn forget(&self, studio: &StudioId) {
        let slot = self.slots().remove(studio);
        if let Some(slot) = slot {
            close(slot.control.send_replace(None));
            close(slot.bulk.send_replace(None));
            slot.view.send_replace(AgentView::default());
        }
    }
}
