//! Live mounts: soon after something changed here, the control plane is asked to synchronise. One request of a mount at a time,
//! so a slow control plane slows requests down.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sync::{FULL_EVERY, Lull};
use tokio::sync::watch::Receiver;

use super::Watched;
use crate::agent::Agent;
use crate::sync_wanted::Outcome;

/// Between a request that failed and the next.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Ids of mounts that are followed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Arc<Mutex<HashSet<String>>>);

impl Live {
    fn begin(&self, mount: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mount.to_owned())
    }

    fn end(&self, mount: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(mount);
    }
}

/// Follows a mount as long as the manifest says so; once.
pub(crate) fn follow(agent: &Arc<Agent>, mount: &str, watched: &Watched) {
    if agent.mounts.live.begin(mount) {
        let (agent, mount, watched) = (Arc::clone(agent), mount.to_owned(), watched.clone());
        agent.clone().tasks.spawn(async move {
            while_live(&agent, &mount, &watched).await;
            agent.mounts.live.end(&mount);
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
            () = tokio::time::sleep(FULL_EVERY) => {}
        }
        let plan = agent.launch.plan();
        if !plan.and_then(|plan| plan.mount(mount).map(|mount| mount.live)).unwrap_or_default() {
            return;
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
