//! The reverse proxy in front of every studio's applications.
//!
//! ```text
//! listener ─ guard ─ hyper ─┬─ not an application's host or path → the control plane's own router
//!  (serve)                  └─ decide ─┬─ origin, policy, access → an answer of our own (waiting, sign-in)
//!                                      └─ forward ─ headers ─ pool ─ dial → application
//!                                                 └ body, rewrite, upgrade ← its answer
//! ```
//!
//! It knows no store: routes are published to it (`RouteTable`), and who may do what is asked of an `Authorizer`. Invariants:
//! - an upstream address comes from the table only; a request merely names a key of it;
//! - HTTP and WebSocket requests pass the same questions: host, path, `Origin`, session, permission;
//! - an application sees no credential of ours, and can set none; it cannot frame, script or send cookies to another studio;
//! - nothing is collected: bodies stream both ways, and nothing here grows with them.
//!
//! Deliberately not here: caching, compression, retries of what could do harm twice, load balancing, TLS.

pub mod access;
pub mod activity;
mod body;
mod cookies;
mod decide;
pub mod dial;
mod expect;
pub mod feed;
mod forward;
mod guard;
mod headers;
pub mod nginx;
pub mod origin;
pub mod over_app;
pub mod policy;
mod pool;
mod rewrite;
pub mod routes;
mod seal;
mod serve;
mod sign_in;
mod ticket;
mod upgrade;
pub mod via;
mod visit;
mod waiting;

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    access::Verdicts,
    activity::Activity,
    decide::Decision,
    pool::{Limits, Pool},
    seal::Sealer,
    ticket::TicketOffice,
};
pub use self::{
    access::{Authorizer, KeyVerdict, Principal, Refusal},
    body::{BoxError, ProxyBody},
    dial::{NoTunnels, TunnelDialer, TunnelIo},
    origin::{InvalidOrigins, Origins, app_prefix},
    routes::{
        Inject, PortRoute, Progress, RouteState, RouteTable, StepState, StudioRoute, Upstream,
    },
    serve::{Listening, serve_connection, serve_listener},
    sign_in::AUTHORIZE_PATH,
    ticket::TICKET_SECONDS,
    via::{Role, Scheme, Via},
    waiting::PROXY_ANSWER,
};
use crate::{clock::SharedClock, domain::ids::StudioId};

/// How often unused connections are looked through.
const SWEEP: Duration = Duration::from_secs(30);

/// What an instance is configured with.
#[derive(Clone)]
pub struct ProxyConfig {
    pub origins: Origins,
    /// Signs tickets and cookies. Keep it with the instance's data, so that a restart signs nobody out.
    pub secret: [u8; 32],
    /// Limit for connecting to an application; there is none for its answers.
    pub connect_timeout: Duration,
    /// Connections to one port of a studio, `WebSocket`s included.
    pub max_connections: u64,
    /// How often the right to an open `WebSocket` is asked about again.
    pub recheck: Duration,
}

impl std::fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyConfig").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl ProxyConfig {
    /// The defaults, with a secret of the instance's own.
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            origins: Origins::default(),
            secret,
            connect_timeout: Duration::from_secs(5),
            max_connections: 1024,
            recheck: Duration::from_secs(15),
        }
    }
}

/// What the proxy works with.
pub struct ProxyParts {
    pub routes: Arc<RouteTable>,
    pub authorizer: Arc<dyn Authorizer>,
    pub tunnels: Arc<dyn TunnelDialer>,
    pub clock: SharedClock,
    /// Gets the tasks of connections and `WebSocket`s; whoever made it waits for them.
    pub tracker: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

/// What became of a request.
pub enum Handled {
    Done(Response<ProxyBody>),
    /// Of the main origin, and no application's: for the control plane's own router.
    NotMine(Request<Incoming>),
}

/// The reverse proxy. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    origins: Arc<Origins>,
    recheck: Duration,
    parts: ProxyParts,
    sealer: Sealer,
    tickets: TicketOffice,
    verdicts: Verdicts,
    activity: Activity,
    pool: Arc<Pool>,
}

impl Proxy {
    /// Refuses names that would lead nowhere.
    pub fn new(config: ProxyConfig, parts: ProxyParts) -> Result<Self, InvalidOrigins> {
        config.origins.check()?;
        let sealer = Sealer::new(&config.secret);
        let limits =
            Limits { connect: config.connect_timeout, connections: config.max_connections };
        let (tracker, cancel) = (parts.tracker.clone(), parts.cancel.clone());
        let pool =
            Arc::new(Pool::new(parts.tunnels.clone(), limits, tracker.clone(), cancel.clone()));
        let swept = Arc::downgrade(&pool);
        tracker.spawn(async move {
            while cancel.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                let Some(pool) = swept.upgrade() else { break };
                pool.sweep(None);
            }
        });
        let shared = Shared {
            tickets: TicketOffice::new(sealer.clone()),
            verdicts: Verdicts::default(),
            activity: Activity::new(parts.clock.clone()),
            pool,
            sealer,
            origins: Arc::new(config.origins),
            recheck: config.recheck,
            parts,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Answers a request, or hands it back if it is not the proxy's to answer. Dropping the future gives the request up, upstream too.
    pub async fn handle(&self, request: Request<Incoming>, via: Via) -> Handled {
        match self.decide(&request, via).await {
            Decision::NotMine => Handled::NotMine(request),
            Decision::Answer(response) => Handled::Done(*response),
            Decision::Forward(plan) => Handled::Done(self.forward(request, *plan).await),
        }
    }

    /// Traffic of every port.
    pub fn activity(&self) -> &Activity {
        &self.shared.activity
    }

    /// To be called when a session ended or a right was taken away: the next request of everybody is asked about anew.
    pub fn forget_verdicts(&self) {
        self.shared.verdicts.forget();
    }

    /// To be called when a studio is deleted.
    pub fn forget_studio(&self, id: &StudioId) {
        self.shared.pool.sweep(Some(id));
        self.shared.activity.forget(id);
    }

    fn origins(&self) -> &Origins {
        &self.shared.origins
    }

    fn routes(&self) -> &RouteTable {
        &self.shared.parts.routes
    }

    fn authorizer(&self) -> &dyn Authorizer {
        &*self.shared.parts.authorizer
    }

    fn now(&self) -> time::OffsetDateTime {
        self.shared.parts.clock.now()
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.shared.pool
    }

    fn tracker(&self) -> &TaskTracker {
        &self.shared.parts.tracker
    }

    /// Returns when the plan's user may not use its port any more, or the proxy ends.
    async fn while_admitted(self, route: Arc<StudioRoute>, port: u16, principal: Principal) {
        let cancel = &self.shared.parts.cancel;
        let pause = self.shared.recheck;
        while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let Some(route) = self.routes().get(&route.id) else { return };
            let now = self.now();
            let verdict =
                self.shared.verdicts.admit(self.authorizer(), &principal, &route, port, now);
            if verdict.await.is_err() {
                return;
            }
        }
    }
}
