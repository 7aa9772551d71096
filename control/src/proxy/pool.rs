//! Kept connections to applications, per (studio, port, upstream).
//!
//! Invariants: a connection serves one key for its whole life, so that an address that changes hands gets no request of its former
//! owner; a connection that was asked to upgrade is never kept; a request that was not sent comes back whole.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    activity::PortActivity,
    body::RequestBody,
    dial::{DialError, TunnelDialer, dial},
    routes::Upstream,
};
use crate::domain::ids::StudioId;

/// Unused connections that are kept for one key.
const MAX_IDLE: usize = 64;
/// How long an unused one is kept.
const IDLE: Duration = Duration::from_mins(1);
/// How long one may take to become usable after its answer was read; else the request's body is still going out.
const SETTLING: Duration = Duration::from_secs(5);
/// Headers of an answer.
const MAX_HEADERS: usize = 256;
const MAX_BUFFER: usize = 256 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) studio: StudioId,
    pub(super) port: u16,
    pub(super) upstream: Upstream,
}

/// How connections are made.
pub(super) struct Limits {
    pub(super) connect: Duration,
    /// Connections to one port, at most.
    pub(super) connections: u64,
}

pub(super) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    tunnels: Arc<dyn TunnelDialer>,
    limits: Limits,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection in use.
pub(super) struct Lease {
    pool: Arc<Pool>,
    key: Key,
    sender: SendRequest<RequestBody>,
    /// It may serve another request afterwards.
    pub(super) keep: bool,
    /// It has served a request before, so the application may be closing it at this moment.
    pub(super) used: bool,
}

/// Why a request was not answered.
pub(super) enum SendError {
    /// It never left; here it is.
    Unsent(Box<Request<RequestBody>>),
    Broken(hyper::Error),
}

impl Pool {
    pub(super) fn new(
        tunnels: Arc<dyn TunnelDialer>,
        limits: Limits,
        tracker: TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        Self { idle: Mutex::default(), tunnels, limits, tracker, cancel }
    }

    /// A kept connection, if one is ready.
    pub(super) fn kept(self: &Arc<Self>, key: &Key) -> Option<Lease> {
        let mut idle = self.lock();
        let waiting = idle.get_mut(key)?;
        let now = Instant::now();
        waiting.retain(|one| is_worth_keeping(one, now));
        let at = waiting.iter().rposition(|one| one.sender.is_ready())?;
        let sender = waiting.swap_remove(at).sender;
        Some(Lease { pool: self.clone(), key: key.clone(), sender, keep: true, used: true })
    }

    /// A new connection.
    pub(super) async fn fresh(
        self: &Arc<Self>,
        key: Key,
        activity: &Arc<PortActivity>,
    ) -> Result<Lease, DialError> {
        let open = activity.connection(self.limits.connections).ok_or(DialError::TooMany)?;
        let limit = self.limits.connect;
        let io = dial(&*self.tunnels, &key.studio, key.port, key.upstream, limit).await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| DialError::Unreachable(std::io::Error::other(error)))?;
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            let _open = open;
            tokio::select! {
                ended = connection.with_upgrades() => if let Err(error) = ended {
                    tracing::debug!(%error, "connection to an application ended");
                },
                () = cancel.cancelled() => {}
            }
        });
        Ok(Lease { pool: self.clone(), key, sender, keep: true, used: false })
    }

    /// Closes what has been unused for too long, and what belongs to `studio` in any case.
    pub(super) fn sweep(&self, studio: Option<&StudioId>) {
        let now = Instant::now();
        self.lock().retain(|key, waiting| {
            waiting.retain(|one| is_worth_keeping(one, now));
            Some(&key.studio) != studio && !waiting.is_empty()
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.idle.lock().expect("nothing panics while holding it")
    }
}

fn is_worth_keeping(one: &Idle, now: Instant) -> bool {
    let age = now.duration_since(one.since);
    let limit = if one.sender.is_ready() { IDLE } else { SETTLING };
    !one.sender.is_closed() && age < limit
}

impl Lease {
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.sender.try_send_request(request).await.map_err(|mut error| {
            match error.take_message() {
                Some(request) => SendError::Unsent(Box::new(request)),
                None => SendError::Broken(error.into_error()),
            }
        })
    }

    /// Keeps the connection for the next request. Not calling it closes the connection.
    pub(super) fn give_back(self) {
        let Self { pool, key, sender, keep, used: _ } = self;
        if !keep || sender.is_closed() || pool.cancel.is_cancelled() {
            return;
        }
        let mut idle = pool.lock();
        let waiting = idle.entry(key).or_default();
        if waiting.len() < MAX_IDLE {
            waiting.push(Idle { sender, since: Instant::now() });
        }
    }
}
