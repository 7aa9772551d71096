//! The manifest in force: what to run, with which variables, where.
//!
//! `Launch` brings a manifest, `Start` puts it into force. Before the first `Start` the phase is FILLING; later ones change
//! what differs while the rest goes on.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::agent::v1::{LaunchManifest, Mount, Phase, event::What};
use thiserror::Error;

use crate::config::Config;
use crate::env::{Env, Facts};
use crate::events::Events;

/// A manifest that can't be run, or comes at the wrong time.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    #[error("the manifest is not valid: {reason}")]
    Invalid { reason: String },
    #[error("generation {wanted} is older than {known}, which is known")]
    Old { wanted: u64, known: u64 },
    #[error("generation {wanted} has not been launched; {known} has")]
    Unknown { wanted: u64, known: u64 },
    #[error("the studio is ending")]
    Draining,
    #[error("the folder {} can't be made: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

/// A manifest, checked, with what follows from it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub manifest: LaunchManifest,
    pub env: Env,
    pub workspace: PathBuf,
    /// Where servers of the studio are reached from inside.
    pub connect_address: IpAddr,
    /// Where servers of the studio should listen.
    pub listen_address: IpAddr,
}

impl Plan {
    /// Absolute, or relative to the workspace; the workspace when empty.
    pub(crate) fn folder(&self, path: &str) -> PathBuf {
        self.workspace.join(path)
    }

    pub(crate) fn mount(&self, id: &str) -> Option<&Mount> {
        self.manifest.mounts.iter().find(|mount| mount.id == id)
    }

    /// Whether a tunnel may lead to a port.
    pub(crate) fn may_tunnel(&self, port: u32) -> bool {
        port != 0
            && (self.manifest.entrypoints.iter().any(|entrypoint| entrypoint.port == port)
                || self.manifest.tunnel_ports.contains(&port))
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Launch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    facts: Facts,
    events: Events,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Arc<Plan>>,
    started: u64,
    draining: bool,
}

impl Launch {
    pub(crate) fn new(config: &Config, events: Events) -> Self {
        let facts = Facts::of(config);
        Self(Arc::new(Inner { facts, events, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest that was handed over last.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.state().plan.clone()
    }

    /// 0 before the first manifest.
    pub(crate) fn generation(&self) -> u64 {
        self.plan().map_or(0, |plan| plan.manifest.generation)
    }

    /// Takes a manifest over; the same generation again changes nothing.
    pub(crate) fn launch(&self, manifest: LaunchManifest) -> Result<Phase, LaunchError> {
        let known = self.generation();
        if manifest.generation < known {
            return Err(LaunchError::Old { wanted: manifest.generation, known });
        }
        if manifest.generation > known {
            let plan = self.plan_of(manifest)?;
            make_folders(&plan)?;
            let mut state = self.state();
            if state.draining {
                return Err(LaunchError::Draining);
            }
            state.plan = Some(Arc::new(plan));
            let first = state.started == 0;
            drop(state);
            if first {
                self.0.events.push(What::Phase(Phase::Filling.into()));
            }
        }
        Ok(self.0.events.phase())
    }

    /// Puts the manifest into force. `None` when this generation has been started already.
    pub(crate) fn start(&self, generation: u64) -> Result<Option<Arc<Plan>>, LaunchError> {
        let mut state = self.state();
        if state.draining {
            return Err(LaunchError::Draining);
        }
        let plan =
            state.plan.clone().filter(|plan| plan.manifest.generation == generation).ok_or_else(
                || {
                    let known = state.plan.as_ref().map_or(0, |plan| plan.manifest.generation);
                    LaunchError::Unknown { wanted: generation, known }
                },
            )?;
        if state.started == generation {
            return Ok(None);
        }
        let first = state.started == 0;
        state.started = generation;
        drop(state);
        if first {
            self.0.events.push(What::Phase(Phase::Running.into()));
        }
        Ok(Some(plan))
    }

    /// Whether the mounts were ever filled and entrypoints started.
    pub(crate) fn has_started(&self) -> bool {
        self.state().started != 0
    }

    /// Whether the studio ends.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().draining
    }

    /// From now on nothing is launched.
    pub(crate) fn close(&self) {
        self.state().draining = true;
    }

    fn plan_of(&self, manifest: LaunchManifest) -> Result<Plan, LaunchError> {
        let invalid = |reason: String| LaunchError::Invalid { reason };
        check(&manifest).map_err(invalid)?;
        let listen_address = match manifest.listen_address.as_str() {
            "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            text => text
                .parse()
                .map_err(|_| invalid(format!("listen_address {text:?} is no IP address")))?,
        };
        let connect_address = match listen_address {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            // A server on [::] takes IPv4 connections too, as systems are set up by default.
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            other => other,
        };
        let env = Env::new(&self.0.facts, &manifest, listen_address);
        Ok(Plan {
            workspace: PathBuf::from(&manifest.workspace),
            manifest,
            env,
            connect_address,
            listen_address,
        })
    }
}

fn check(manifest: &LaunchManifest) -> Result<(), String> {
    for (name, path) in [("workspace", &manifest.workspace), ("home", &manifest.home)] {
        if !Path::new(path).is_absolute() {
            return Err(format!("{name} {path:?} is not an absolute path"));
        }
    }
    unique("mount", manifest.mounts.iter().map(|mount| mount.id.as_str()))?;
    unique("entrypoint", manifest.entrypoints.iter().map(|entrypoint| entrypoint.id.as_str()))?;
    unique("action", manifest.actions.iter().map(|action| action.id.as_str()))?;
    for entrypoint in &manifest.entrypoints {
        if entrypoint.command.is_empty() {
            return Err(format!("entrypoint {:?} has no command", entrypoint.id));
        }
        if entrypoint.port > u32::from(u16::MAX) {
            return Err(format!("entrypoint {:?} wants port {}", entrypoint.id, entrypoint.port));
        }
    }
    let names = manifest.env.iter().chain(&manifest.expanded_env);
    let names = names.chain(manifest.entrypoints.iter().flat_map(|entrypoint| &entrypoint.env));
    for variable in names {
        if variable.name.is_empty()
            || variable.name.contains(['=', '\0'])
            || variable.value.contains('\0')
        {
            return Err(format!("{:?} can't be a variable", variable.name));
        }
    }
    Ok(())
}

fn unique<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for id in ids {
        if id.is_empty() || !seen.insert(id) {
            return Err(format!("{what} {id:?} has no id of its own"));
        }
    }
    Ok(())
}

fn make_folders(plan: &Plan) -> Result<(), LaunchError> {
    let home = PathBuf::from(&plan.manifest.home);
    let targets = plan.manifest.mounts.iter().map(|mount| plan.folder(&mount.target));
    let user_folders = Env::user_folders().map(|folder| home.join(folder));
    for path in
        [home.clone(), plan.workspace.clone()].into_iter().chain(targets).chain(user_folders)
    {
        std::fs::create_dir_all(&path).map_err(|source| LaunchError::Folder { path, source })?;
    }
    Ok(())
}
