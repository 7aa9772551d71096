//! The bulk connection: dialled when the control plane asks, one at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::control::ADMISSION_TIMEOUT;
use super::gate::{Kind, Verdict};
use super::serve::{ServedOn, serve_on};
use super::tls::Dialer;
use crate::agent::Agent;

/// Attempts per request: the control plane asks again when it still wants the connection.
const ATTEMPTS: u32 = 5;

/// Waits for requests, for ever.
pub(crate) async fn run(agent: Arc<Agent>, dialer: Dialer) -> Infallible {
    loop {
        agent.bulk_wanted.notified().await;
        for attempt in 0..ATTEMPTS {
            sleep(Duration::from_secs(u64::from(attempt)).mul_f64(rand::random())).await;
            if let Some(mut served) = connect(&agent, &dialer).await {
                tokio::select! {
                    () = served.gone() => {}
                    // A control plane that admitted us anew has no use for what its predecessor opened.
                    () = agent.bulk_stale.notified() => served.close(),
                }
                break;
            }
        }
    }
}

async fn connect(agent: &Arc<Agent>, dialer: &Dialer) -> Option<ServedOn> {
    let stream = match dialer.dial().await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "no bulk connection");
            return None;
        }
    };
    let served = serve_on(agent, stream, Kind::Bulk);
    match timeout(ADMISSION_TIMEOUT, served.gate.decided()).await {
        Ok(Verdict::Accepted) => Some(served),
        Ok(Verdict::Refused { .. } | Verdict::Pending) | Err(_) => None,
    }
}
