//! The control connection: always there, or about to be.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proto::agent::v1::Refusal;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::gate::{Kind, Verdict};
use super::serve::serve_on;
use super::tls::Dialer;
use crate::agent::Agent;
use crate::drain::DrainWanted;

/// From the end of the handshake to Admit.
pub(super) const ADMISSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Between attempts after a refusal that another attempt hardly changes; tokens rotate, and control planes are upgraded.
const SLOWLY: Duration = Duration::from_mins(1);

/// How a connection, or the attempt at one, ended.
#[derive(Debug)]
enum End {
    /// It was admitted, and lost.
    Lost,
    /// It came to nothing.
    Failed,
    Refused {
        reason: Refusal,
        message: String,
        retry_after: Option<Duration>,
    },
}

/// Connects, for ever.
pub(crate) async fn run(agent: Arc<Agent>, dialer: Dialer) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        let end = connect(&agent, &dialer).await;
        let jitter: f64 = rand::random();
        let wait = match end {
            End::Lost => {
                tracing::warn!("the control plane is gone; everything goes on");
                backoff.reset();
                backoff.next(jitter, None)
            }
            End::Failed => backoff.next(jitter, None),
            End::Refused { reason, message, retry_after } => {
                tracing::warn!(?reason, %message, "the control plane refuses this agent");
                match reason {
                    Refusal::Busy => backoff.next(jitter, retry_after),
                    Refusal::Credential if agent.credential.forget_session_key() => {
                        backoff.next(jitter, retry_after)
                    }
                    Refusal::Superseded => {
                        agent.drain.want(DrainWanted {
                            grace: None,
                            reason: "a newer incarnation has taken the studio over".to_owned(),
                            without_sync: true,
                        });
                        std::future::pending().await
                    }
                    Refusal::Credential | Refusal::Protocol | Refusal::Unspecified => {
                        let text = "the control plane refuses this agent; what runs goes on, and it is tried again slowly";
                        agent.events.notice(format!("{text}: {message}"));
                        SLOWLY.mul_f64(0.5 + jitter) + retry_after.unwrap_or_default()
                    }
                }
            }
        };
        sleep(wait).await;
    }
}

async fn connect(agent: &Arc<Agent>, dialer: &Dialer) -> End {
    let stream = match dialer.dial().await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "the control plane can't be reached");
            return End::Failed;
        }
    };
    let mut served = serve_on(agent, stream, Kind::Control);
    let gate = served.gate.clone();
    let verdict = tokio::select! {
        verdict = timeout(ADMISSION_TIMEOUT, gate.decided()) => verdict.unwrap_or(Verdict::Pending),
        () = served.gone() => gate.verdict(),
    };
    match verdict {
        Verdict::Accepted => {
            tracing::info!("connected to the control plane");
            agent.bulk_stale.notify_waiters();
            agent.connected.send_replace(true);
            served.gone().await;
            agent.connected.send_replace(false);
            End::Lost
        }
        Verdict::Refused { reason, message, retry_after } => {
            // The answer to Admit must still reach the control plane, which then ends the connection.
            timeout(Duration::from_secs(2), served.gone()).await.ok();
            End::Refused { reason, message, retry_after }
        }
        Verdict::Pending => {
            tracing::warn!("the control plane did not admit this agent in time");
            End::Failed
        }
    }
}
