//! Asks the control plane to synchronise, and hears that it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::agent::v1::{SyncWanted, event::What, sync_wanted::Reason};
use tokio::sync::oneshot;

use crate::events::Events;
use crate::ids::random_id;

/// How a synchronisation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub ok: bool,
    /// For people.
    pub message: String,
}

/// Requests that wait for their answer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequests {
    events: Events,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>,
}

impl SyncRequests {
    pub(crate) fn new(events: Events) -> Self {
        Self { events, waiting: Arc::default() }
    }

    /// Asks, and waits for the answer without limit: the caller has one. Cancel safe; a late answer is ignored.
    pub(crate) async fn ask(&self, reason: Reason) -> Outcome {
        self.ask_for(reason, String::new()).await
    }

    /// The same for one mount that is live.
    pub(crate) async fn ask_live(&self, mount: &str) -> Outcome {
        self.ask_for(Reason::Live, mount.to_owned()).await
    }

    async fn ask_for(&self, reason: Reason, mount_id: String) -> Outcome {
        let sync_id = random_id();
        let (tell, told) = oneshot::channel();
        let _forget = Forget { requests: self, sync_id: &sync_id };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(sync_id.clone(), tell);
        let (reason, wanted) = (reason.into(), sync_id.clone());
        self.events.push(What::SyncWanted(SyncWanted { sync_id: wanted, reason, mount_id }));
        match told.await {
            Ok(outcome) => outcome,
            Err(_) => Outcome { ok: false, message: "the request was dropped".to_owned() },
        }
    }

    /// The control plane's answer. Unknown ids are answers that came again or too late.
    pub(crate) fn ended(&self, sync_id: &str, outcome: Outcome) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(sync_id);
        if let Some(tell) = waiting {
            tell.send(outcome).ok();
        }
    }
}

struct Forget<'a> {
    requests: &'a SyncRequests,
    sync_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.requests.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(self.sync_id);
    }
}
