//! Studios' agents: they dial in, say who they are, and then serve calls on the connection that they opened.
//!
//! The peer is hostile: code of the studio's user runs beside it. So every call has a deadline, every message a limit, and
//! an agent is believed about its own studio only. Protocol types stay inside this module.
//!
//! * [`ca`], `listener`, `connection`, `admission`, `identity`: from an accepted socket to an admitted agent
//! * `registry`, `events`: which agents are there, and what they tell
//! * `calls/`, `port`, `convert`: what the rest of the program asks of them, in its own words

mod admission;
pub mod ca;
mod calls;
mod connection;
mod convert;
mod error;
mod events;
mod identity;
mod listener;
mod port;
mod registry;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{ca::Ca, identity::Identity, registry::Registry};
use crate::{app::agent_calls::SyncWish, runtime::Runtime, store::Store};

/// Wishes that wait for the synchronisation service.
const WISHES: usize = 256;

/// All agents of this control plane.
pub struct AgentHub {
    ca: Ca,
    /// `host:port` that agents dial, several separated by commas.
    address: String,
    identity: Identity,
    registry: Registry,
    wishes: mpsc::Sender<SyncWish>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Names this process to agents.
    boot_id: String,
    connections: AtomicU64,
}

impl AgentHub {
    /// `address` is what agents dial. The receiver yields agents' wishes to be synchronised; whoever takes one answers it.
    pub fn new(
        ca: Ca,
        address: String,
        store: Arc<dyn Store>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<SyncWish>) {
        let (wishes, wanted) = mpsc::channel(WISHES);
        let hub = Self {
            identity: Identity::new(store, ca.token_secret),
            ca,
            address,
            registry: Registry::default(),
            wishes,
            tasks,
            closing,
            boot_id: crate::auth::token::random(),
            connections: AtomicU64::new(0),
        };
        (Arc::new(hub), wanted)
    }

    /// Takes the runtime's word for who agents are, where it gives it.
    pub fn trust(&self, runtime: Arc<dyn Runtime>) {
        self.identity.trust(runtime);
    }

    /// Takes agents' connections until the program ends.
    pub async fn listen(self: &Arc<Self>, listener: tokio::net::TcpListener) {
        listener::run(self, listener).await;
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}

/// As agents dial it: `told`, a host or host and port, or what is listened on. An address that stands for all of them is
/// reached by loopback.
pub fn dialled_address(told: Option<&str>, listening: SocketAddr) -> String {
    match told {
        Some(address) if address.contains(':') => return address.to_owned(),
        Some(host) => return format!("{host}:{}", listening.port()),
        None => (),
    }
    let mut address = listening;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address.to_string()
}
