//! Whether an entrypoint serves: what is asked, how often.

use std::net::SocketAddr;
use std::time::Duration;

use proto::agent::v1::{Entrypoint, readiness::Probe};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::HttpCheck;
use crate::launch::Plan;

const DEFAULT_PERIOD: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts come faster at first: a server that starts in 0.2 s should not be seen after a second.
const FIRST_PERIOD: Duration = Duration::from_millis(25);
/// Of a server that is ready; it is asked to notice that it hangs, not to be kept busy.
const READY_PERIOD: Duration = Duration::from_secs(5);

/// What one attempt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Ready,
    /// The port accepts, but the probe does not succeed.
    Listening {
        reason: String,
    },
    Nothing {
        reason: String,
    },
}

/// How an entrypoint is asked.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    address: SocketAddr,
    /// `Err` holds why the probe can never succeed.
    http: Option<Result<HttpCheck, String>>,
    period: Duration,
    timeout: Duration,
    attempts: u32,
}

impl Prober {
    /// `None` for an entrypoint without a port: it is ready when it runs.
    pub(super) fn new(entrypoint: &Entrypoint, plan: &Plan) -> Option<Self> {
        let port = u16::try_from(entrypoint.port).ok().filter(|port| *port != 0)?;
        let address = SocketAddr::new(plan.connect_address, port);
        let readiness = entrypoint.readiness.clone().unwrap_or_default();
        let or =
            |ms: u32, default| if ms == 0 { default } else { Duration::from_millis(u64::from(ms)) };
        let http = match &readiness.probe {
            Some(Probe::Http(probe)) => Some(HttpCheck::new(probe, address.ip(), port)),
            Some(Probe::Tcp(_)) | None => None,
        };
        Some(Self {
            address,
            http,
            period: or(readiness.period_ms, DEFAULT_PERIOD),
            timeout: or(readiness.timeout_ms, DEFAULT_TIMEOUT),
            attempts: 0,
        })
    }

    /// Before the next attempt.
    pub(super) fn pause(&self, ready: bool) -> Duration {
        if ready {
            return self.period.max(READY_PERIOD);
        }
        FIRST_PERIOD.saturating_mul(2_u32.saturating_pow(self.attempts / 4)).min(self.period)
    }

    pub(super) async fn attempt(&mut self) -> Finding {
        self.attempts = self.attempts.saturating_add(1);
        let within = self.timeout;
        let connected = match timeout(within, TcpStream::connect(self.address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(format!("nobody listens on {} yet", self.address))
            }
            Ok(Err(error)) => Err(format!("{}: {error}", self.address)),
            Err(_) => Err(format!("{} did not accept within {within:?}", self.address)),
        };
        match (connected, &self.http) {
            (Err(reason), _) => Finding::Nothing { reason },
            (Ok(()), None) => Finding::Ready,
            (Ok(()), Some(Err(reason))) => Finding::Listening { reason: reason.clone() },
            (Ok(()), Some(Ok(check))) => match timeout(within, check.check()).await {
                Ok(Ok(())) => Finding::Ready,
                Ok(Err(reason)) => Finding::Listening { reason },
                Err(_) => Finding::Listening { reason: format!("no answer within {within:?}") },
            },
        }
    }
}
