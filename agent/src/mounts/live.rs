//! Live mounts: soon after something changed here, the control plane is asked to synchronise. One request of a mount at a time,
//! so a slow control plane slows requests down.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync::Lull;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::Watched;
use crate::agent::Agent;
use crate::sync_wanted::Outcome;

/// Between a request that failed and the next.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Mounts that are followed, by id, until their tokens say otherwise. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Arc<Mutex<HashMap<String, CancellationToken>>>);

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: it is followed already.
    fn begin(&self, mount: &str) -> Option<CancellationToken> {
        match self.lock().entry(mount.to_owned()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => Some(place.insert(CancellationToken::new()).clone()),
        }
    }

    fn end(&self, mount: &str) {
        if let Some(followed) = self.lock().remove(mount) {
            followed.cancel();
        }
    }
}

/// Follows a mount from now on, or no longer.
pub(crate) fn set_live(agent: &Arc<Agent>, mount: &str, watched: &Watched, is_live: bool) {
    if !is_live {
        agent.mounts.live.end(mount);
    } else if let Some(ended) = agent.mounts.live.begin(mount) {
        let (agent, mount, watched) = (Arc::clone(agent), mount.to_owned(), watched.clone());
        agent.clone().tasks.spawn(async move {
            ended.run_until_cancelled(while_live(&agent, &mount, &watched)).await;
        });
    }
}

async fn while_live(agent: &Agent, mount: &str, watched: &Watched) {
    let mut connected = agent.connected.subscribe();
    let mut pause = SHORTEST_PAUSE;
    loop {
        tokio::select! {
            () = watched.changed.notified() => {}
            // Whatever changed while nobody heard of it, here or there.
            Ok(()) = reconnected(&mut connected) => {}
            // What no watch tells.
            () = tokio::time::sleep(watched.look_every()) => {}
        }
        let mut lull = Lull::default();
        while let Some(wait) = lull.wait(watched.watch.told()) {
            tokio::time::sleep(wait).await;
        }
        let asked = tokio::select! {
            asked = agent.sync_requests.ask_live(mount) => asked,
            // The answer may be lost with the connection.
            Ok(()) = reconnected(&mut connected) => {
                Outcome { ok: false, message: "the connection was lost".to_owned() }
            }
        };
        if asked.ok {
            pause = SHORTEST_PAUSE;
        } else {
            tracing::debug!(mount, why = asked.message, "a live mount was not synchronised");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            watched.changed.notify_one();
        }
    }
}

async fn reconnected(
    connected: &mut Receiver<bool>,
) -> Result<(), tokio::sync::watch::error::RecvError> {
    connected.wait_for(|connected| !connected).await?;
    connected.wait_for(|connected| *connected).await?;
    Ok(())
}
