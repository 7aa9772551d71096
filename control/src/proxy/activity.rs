//! Traffic of every port, for idle policies and metrics. Counters only; judging them is somebody else's work.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{clock::SharedClock, domain::ids::StudioId};

/// Counters of one port. Bytes are those of bodies and tunnels.
#[derive(Debug)]
pub struct PortActivity {
    clock: SharedClock,
    requests: AtomicU64,
    open_requests: AtomicU64,
    open_tunnels: AtomicU64,
    connections: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    /// Unix milliseconds; 0: never.
    last: AtomicI64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Traffic {
    /// Requests that were passed to the application, since this process started.
    pub requests: u64,
    pub open_requests: u64,
    /// `WebSocket`s and other upgraded connections.
    pub open_tunnels: u64,
    /// Connections to the application, in use or kept, besides tunnels.
    pub connections: u64,
    /// Towards the application.
    pub bytes_up: u64,
    /// Towards the client.
    pub bytes_down: u64,
    /// When a request came or bytes moved last, in unix milliseconds.
    pub last_ms: Option<i64>,
}

/// What is open, counted for as long as the guard lives.
pub(super) struct Open {
    activity: Arc<PortActivity>,
    what: fn(&PortActivity) -> &AtomicU64,
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.what)(&self.activity).fetch_sub(1, Relaxed);
        self.activity.touch();
    }
}

impl PortActivity {
    fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            requests: AtomicU64::new(0),
            open_requests: AtomicU64::new(0),
            open_tunnels: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
            last: AtomicI64::new(0),
        }
    }

    fn touch(&self) {
        let ms = self.clock.now().unix_timestamp_nanos() / 1_000_000;
        self.last.store(i64::try_from(ms).unwrap_or(i64::MAX), Relaxed);
    }

    fn open(self: &Arc<Self>, what: fn(&PortActivity) -> &AtomicU64) -> Open {
        what(self).fetch_add(1, Relaxed);
        Open { activity: self.clone(), what }
    }

    pub(super) fn request(self: &Arc<Self>) -> Open {
        self.requests.fetch_add(1, Relaxed);
        self.touch();
        self.open(|a| &a.open_requests)
    }

    pub(super) fn tunnel(self: &Arc<Self>) -> Open {
        self.open(|a| &a.open_tunnels)
    }

    /// A connection to the application, unless there are `limit` already, tunnels included.
    pub(super) fn connection(self: &Arc<Self>, limit: u64) -> Option<Open> {
        let open = self.open(|a| &a.connections);
        let all = self.connections.load(Relaxed) + self.open_tunnels.load(Relaxed);
        (all <= limit).then_some(open)
    }

    pub(super) fn up(&self, bytes: usize) {
        self.bytes_up.fetch_add(bytes as u64, Relaxed);
        self.touch();
    }

    pub(super) fn down(&self, bytes: usize) {
        self.bytes_down.fetch_add(bytes as u64, Relaxed);
        self.touch();
    }

    /// The counters now.
    pub fn traffic(&self) -> Traffic {
        let last = self.last.load(Relaxed);
        Traffic {
            requests: self.requests.load(Relaxed),
            open_requests: self.open_requests.load(Relaxed),
            open_tunnels: self.open_tunnels.load(Relaxed),
            connections: self.connections.load(Relaxed),
            bytes_up: self.bytes_up.load(Relaxed),
            bytes_down: self.bytes_down.load(Relaxed),
            last_ms: (last != 0).then_some(last),
        }
    }
}

/// Counters of all ports that had traffic.
#[derive(Debug)]
pub struct Activity {
    clock: SharedClock,
    ports: RwLock<HashMap<StudioId, HashMap<u16, Arc<PortActivity>>>>,
}

impl Activity {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, ports: RwLock::default() }
    }

    pub(super) fn port(&self, id: &StudioId, port: u16) -> Arc<PortActivity> {
        let known = self.ports.read().expect("nothing panics while holding it");
        if let Some(activity) = known.get(id).and_then(|ports| ports.get(&port)) {
            return activity.clone();
        }
        drop(known);
        let mut ports = self.ports.write().expect("nothing panics while holding it");
        let of_studio = ports.entry(id.clone()).or_default();
        let fresh = || Arc::new(PortActivity::new(self.clock.clone()));
        of_studio.entry(port).or_insert_with(fresh).clone()
    }

    /// Traffic of one studio's ports, in order.
    pub fn studio(&self, id: &StudioId) -> Vec<(u16, Traffic)> {
        let ports = self.ports.read().expect("nothing panics while holding it");
        let mut traffic: Vec<_> = ports
            .get(id)
            .into_iter()
            .flatten()
            .map(|(port, activity)| (*port, activity.traffic()))
            .collect();
        traffic.sort_unstable_by_key(|(port, _)| *port);
        traffic
    }

    /// Forgets a studio that is gone.
    pub fn forget(&self, id: &StudioId) {
        self.ports.write().expect("nothing panics while holding it").remove(id);
    }
}
