//! Which studio is where: the table that requests are routed by.
//!
//! It is filled by who knows (runtime caches, the reconciler) and only read here. Invariant: an upstream address comes from
//! this table and from nothing that a request says; a request only names a key, and an unknown key leads nowhere.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::domain::{
    ids::{Login, ProjectKey, StudioId},
    subpath::Subpath,
};

/// A studio as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudioRoute {
    pub project: ProjectKey,
    pub id: StudioId,
    /// For people, and (lower-cased) for `<project>-<name>.<domain>`.
    pub name: String,
    pub owner: Login,
    pub state: RouteState,
    /// The port that the studio's own name leads to.
    pub first_tool: Option<u16>,
    pub ports: BTreeMap<u16, PortRoute>,
}

/// Where a studio is in its life, with what the waiting page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteState {
    Starting {
        progress: Vec<Progress>,
    },
    Running,
    Stopping,
    Stopped,
    /// The last start failed; the reason is for people.
    Failed {
        reason: String,
    },
}

/// One step of a start.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    pub step: String,
    pub state: StepState,
    pub message: String,
    /// How long it took, or has taken so far.
    pub elapsed_ms: Option<u64>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Pending,
    Active,
    Done,
    Failed,
}

/// A port of a studio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRoute {
    pub upstream: Upstream,
    pub subpath: Subpath,
    /// The studio's own secret, given to the application in the user's place.
    pub secret: Option<Inject>,
    /// While the studio starts, only a ready port is tried; in a running studio every port is.
    pub ready: bool,
}

/// How to reach a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// Reachable, and proven to be the studio's.
    Direct(SocketAddr),
    /// Through the studio's agent.
    Tunnel,
}

/// What is added to every request to a port; replaces what the client sent under the same names.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Inject {
    /// `cookie` is added to the client's cookies; every other header replaces the client's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Put into the query, where a server takes its secret only there.
    pub query: Option<(String, String)>,
}

impl std::fmt::Debug for Inject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let query = self.query.as_ref().map(|(name, _)| name);
        f.debug_struct("Inject").field("headers", &names).field("query", &query).finish()
    }
}

/// One state of the table. Immutable: readers keep theirs while a newer one is published.
#[derive(Debug, Default)]
pub struct Routes {
    by_id: HashMap<StudioId, Arc<StudioRoute>>,
    /// `<project>-<name>` → studio; `None` where two studios would share it.
    by_label: HashMap<String, Option<StudioId>>,
}

impl Routes {
    /// The studio of that id.
    pub fn get(&self, id: &StudioId) -> Option<&Arc<StudioRoute>> {
        self.by_id.get(id)
    }

    /// The studio whose host label (`<project>-<name>`) this is, if exactly one has it.
    pub fn by_label(&self, label: &str) -> Option<&Arc<StudioRoute>> {
        self.by_label.get(label)?.as_ref().and_then(|id| self.by_id.get(id))
    }

    fn index(by_id: HashMap<StudioId, Arc<StudioRoute>>) -> Self {
        let mut by_label = HashMap::with_capacity(by_id.len());
        #[expect(
            clippy::iter_over_hash_type,
            reason = "a doubled label ends up as None in any order"
        )]
        for route in by_id.values() {
            by_label
                .entry(host_label(&route.project, &route.name))
                .and_modify(|taken| *taken = None)
                .or_insert_with(|| Some(route.id.clone()));
        }
        Self { by_id, by_label }
    }
}

/// `<project>-<name>` as a host label: lower-case letters and digits, all else a single hyphen, at most 63 characters.
pub fn host_label(project: &ProjectKey, name: &str) -> String {
    let mut label = String::new();
    for c in project.as_str().chars().chain(['-']).chain(name.chars()) {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => label.push(c),
            _ if label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    label.truncate(63);
    label.trim_matches('-').to_owned()
}

/// The published table. Reading never waits for a writer longer than a pointer copy.
#[derive(Debug)]
pub struct RouteTable {
    current: watch::Sender<Arc<Routes>>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self { current: watch::Sender::new(Arc::default()) }
    }
}

impl RouteTable {
    /// What holds now.
    pub fn snapshot(&self) -> Arc<Routes> {
        self.current.borrow().clone()
    }

    /// The studio of that id, as it is now.
    pub fn get(&self, id: &StudioId) -> Option<Arc<StudioRoute>> {
        self.current.borrow().get(id).cloned()
    }

    /// Adds or replaces one studio. Tells readers only of a change.
    pub fn set(&self, route: StudioRoute) {
        self.change(|routes| {
            if routes.get(&route.id).is_some_and(|old| **old == route) {
                return None;
            }
            let mut by_id = routes.by_id.clone();
            by_id.insert(route.id.clone(), Arc::new(route));
            Some(by_id)
        });
    }

    /// Forgets one studio.
    pub fn remove(&self, id: &StudioId) {
        self.change(|routes| {
            let mut by_id = routes.by_id.clone();
            by_id.remove(id).map(|_| by_id)
        });
    }

    /// Replaces the whole table, for instance after a restart of who fills it.
    pub fn replace(&self, routes: Vec<StudioRoute>) {
        self.change(|_| Some(routes.into_iter().map(|r| (r.id.clone(), Arc::new(r))).collect()));
    }

    /// Follows the changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Routes>> {
        self.current.subscribe()
    }

    fn change(&self, edit: impl FnOnce(&Routes) -> Option<HashMap<StudioId, Arc<StudioRoute>>>) {
        self.current.send_if_modified(|current| match edit(current) {
            None => false,
            Some(by_id) => {
                *current = Arc::new(Routes::index(by_id));
                true
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(id: &str, name: &str) -> StudioRoute {
        StudioRoute {
            project: "DEMO_A".parse().unwrap(),
            id: id.parse().unwrap(),
            name: name.to_owned(),
            owner: "ann".parse().unwrap(),
            state: RouteState::Running,
            first_tool: None,
            ports: BTreeMap::new(),
        }
    }

    #[test]
    fn a_label_that_two_studios_share_leads_to_neither() {
        let table = RouteTable::default();
        table.set(route("aaaaaaaa", "My Lab"));
        assert!(table.snapshot().by_label("demo-a-my-lab").is_some());
        table.set(route("bbbbbbbb", "my   lab!"));
        assert!(table.snapshot().by_label("demo-a-my-lab").is_none());
        table.remove(&"bbbbbbbb".parse().unwrap());
        assert_eq!(table.snapshot().by_label("demo-a-my-lab").unwrap().id.as_str(), "aaaaaaaa");
    }

    #[test]
    fn only_changes_are_told() {
        let table = RouteTable::default();
        table.set(route("aaaaaaaa", "x"));
        let mut seen = table.subscribe();
        seen.mark_unchanged();
        table.set(route("aaaaaaaa", "x"));
        table.remove(&"bbbbbbbb".parse().unwrap());
        assert!(!seen.has_changed().unwrap());
        table.set(route("aaaaaaaa", "y"));
        assert!(seen.has_changed().unwrap());
    }

    #[test]
    fn a_secret_is_not_in_the_debug_form() {
        let secret = Inject {
            headers: vec![("authorization".parse().unwrap(), "token hush".parse().unwrap())],
            query: Some(("token".into(), "hush".into())),
        };
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
