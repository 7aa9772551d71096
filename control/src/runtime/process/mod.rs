//! `process`: studios as processes of this machine. One trust domain, and it says so: processes are confined by Landlock
//! where the kernel has it, but share the machine's user, network, process table (with what processes have in their
//! environment) and CPUs.
//!
//! ```text
//! run/<studio>/pod.json     what was made: placement, epoch
//! run/<studio>/agent.pid    identity of the agent's process, written by itself before it becomes the agent
//! run/<studio>/{workspace,home,state,tmp}   all that the studio may write
//! run/<studio>/agent.log
//! ```
//!
//! Each studio has a loopback address of its own, so that many studios of one template listen on the same ports. Agents
//! are in sessions of their own: they go on when the control plane is killed, and are found again by their identity.

mod address;
pub mod confine;
mod folder;
mod leftovers;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::{
    io::unix::AsyncFd,
    sync::{Mutex, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::folder::{Pod, StudioFolder};
use super::{Placement, PodSpec, PodState, Runtime, RuntimeError};
use crate::{domain::ids::StudioId, process_identity::ProcessIdentity, spawn};

/// How long a started program may take until it has written down who it is.
const START: Duration = Duration::from_secs(10);
/// How long killed processes may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

/// What the driver is told once.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// Studios' folders.
    pub root: PathBuf,
    /// Where the builder keeps images; read only for studios.
    pub images: PathBuf,
    /// This very program, which confines itself and then becomes the agent.
    pub launcher: PathBuf,
    pub agent: PathBuf,
    /// For everything in studios: proxies, package mirrors, CA bundle.
    pub env: BTreeMap<String, String>,
    pub node_name: String,
}

/// The driver.
pub struct ProcessRuntime {
    config: ProcessConfig,
    /// One change of a studio's pod at a time.
    busy: Mutex<BTreeMap<StudioId, Arc<Mutex<()>>>>,
    changes: mpsc::Sender<StudioId>,
    changed: Mutex<mpsc::Receiver<StudioId>>,
    watchers: TaskTracker,
    closed: CancellationToken,
}

impl ProcessRuntime {
    /// Opens the driver and watches the pods that are there already.
    pub fn open(config: ProcessConfig) -> io::Result<Self> {
        std::fs::create_dir_all(&config.root)?;
        let config = ProcessConfig {
            root: config.root.canonicalize()?,
            images: config.images.canonicalize()?,
            launcher: config.launcher.canonicalize()?,
            agent: config.agent.canonicalize()?,
            ..config
        };
        let (changes, changed) = mpsc::channel(1024);
        let runtime = Self {
            config,
            busy: Mutex::default(),
            changes,
            changed: Mutex::new(changed),
            watchers: TaskTracker::new(),
            closed: CancellationToken::new(),
        };
        for studio in folder::studios(&runtime.config.root)? {
            if let Some(identity) = runtime.folder(&studio).agent() {
                runtime.watch(studio, &identity);
            }
        }
        Ok(runtime)
    }

    fn folder(&self, studio: &StudioId) -> StudioFolder {
        StudioFolder::new(self.config.root.join(studio.as_str()))
    }

    async fn lock(&self, studio: &StudioId) -> Arc<Mutex<()>> {
        Arc::clone(self.busy.lock().await.entry(studio.clone()).or_default())
    }

    /// Tells of the process's end when it comes.
    fn watch(&self, studio: StudioId, identity: &ProcessIdentity) {
        let (changes, closed, identity) =
            (self.changes.clone(), self.closed.clone(), identity.clone());
        self.watchers.spawn(async move {
            let ended = async {
                if let Err(error) = wait_for_end(&identity).await {
                    tracing::warn!(%studio, %error, "the end of a studio's agent can't be watched");
                }
            };
            tokio::select! {
                () = ended => {
                    // The receiver lives as long as the driver.
                    drop(changes.send(studio).await);
                }
                () = closed.cancelled() => (),
            }
        });
    }

    async fn end(
        &self,
        studio: &StudioId,
        folder: &StudioFolder,
        grace: Duration,
    ) -> io::Result<()> {
        if let Some(identity) = folder.agent().filter(ProcessIdentity::alive) {
            identity.signal(Signal::SIGTERM)?;
            if tokio::time::timeout(grace, wait_for_end(&identity)).await.is_err() {
                identity.signal(Signal::SIGKILL)?;
                drop(tokio::time::timeout(KILLED, wait_for_end(&identity)).await);
            }
        }
        leftovers::end(studio, KILLED).await
    }

    async fn make(&self, spec: &PodSpec, folder: &StudioFolder) -> io::Result<Placement> {
        let image = self.config.images.join(&spec.image.reference);
        let address = address::choose(&self.config.root, &spec.studio)?;
        let placement = Placement {
            pod_name: format!("studio-{}", spec.studio),
            pod_uid: data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>()),
            node_name: self.config.node_name.clone(),
            namespace: "atelier".into(),
            address: Some(address),
            listen_address: address,
            workspace: folder.text("workspace")?,
            home: folder.text("home")?,
            studio_prefix: path_text(&image)?,
        };
        folder.make(&Pod { placement: placement.clone(), epoch: spec.epoch })?;
        let mut command = spawn::command(&self.config.launcher);
        command.arg("confine").args(["--pid-file", &folder.text("agent.pid")?]);
        command.args(["--read-write", &folder.text("")?]);
        for read_only in [&self.config.images, &self.config.agent] {
            command.args(["--read-only", &path_text(read_only)?]);
        }
        if let Some(nodes) = self.config.images.parent() {
            command.args(["--read-only", &path_text(&nodes.join("nodes"))?]);
        }
        command.arg("--").arg(&self.config.agent);
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.path("agent.log"))?;
        command
            .current_dir(folder.path("workspace"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(&self.config.env)
            .envs(&spec.agent_env)
            .env("ATELIER_STUDIO_ID", spec.studio.as_str())
            .env("ATELIER_EPOCH", spec.epoch.to_string())
            .env("ATELIER_STATE_DIR", folder.path("state"))
            .env("TMPDIR", folder.path("tmp"))
            .env("HOME", folder.path("home"))
            .env("K8S_POD_NAME", &placement.pod_name)
            .env("K8S_POD_ID", &placement.pod_uid)
            .env("K8S_POD_NAMESPACE", &placement.namespace)
            .env("K8S_NODE_NAME", &placement.node_name)
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        let mut child = command.spawn()?;
        let identity = tokio::select! {
            identity = folder.wait_for_agent(START) => identity?,
            status = child.wait() => {
                return Err(io::Error::other(format!("the agent ended at once, {}: {}", status?, folder.last_words())));
            }
        };
        // Reaps it when it ends; where the control plane was restarted, init does.
        self.watchers.spawn(async move { drop(child.wait().await) });
        self.watch(spec.studio.clone(), &identity);
        Ok(placement)
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn ensure_studio(&self, spec: &PodSpec) -> Result<Placement, RuntimeError> {
        let lock = self.lock(&spec.studio).await;
        let _only_one = lock.lock().await;
        let folder = self.folder(&spec.studio);
        if let Some(pod) = folder.pod() {
            if pod.epoch == spec.epoch && folder.agent().is_some_and(|agent| agent.alive()) {
                return Ok(pod.placement);
            }
            self.end(&spec.studio, &folder, spec.termination_grace)
                .await
                .map_err(|error| unavailable("ending the studio's former processes", error))?;
        }
        self.make(spec, &folder).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RuntimeError::Refused {
                what: "starting the agent",
                why: error.to_string(),
                hint: "check that the agent binary and the image are there".into(),
            },
            _ => unavailable("starting the agent", error),
        })
    }

    async fn observe_studio(&self, studio: &StudioId) -> Result<PodState, RuntimeError> {
        let folder = self.folder(studio);
        Ok(match folder.pod() {
            None => PodState::Absent,
            Some(pod) if folder.agent().is_some_and(|agent| agent.alive()) => {
                PodState::Running(pod.placement)
            }
            Some(pod) => PodState::Ended { placement: pod.placement, reason: folder.last_words() },
        })
    }

    async fn remove_studio(
        &self,
        studio: &StudioId,
        grace: Duration,
        keep_files: bool,
    ) -> Result<(), RuntimeError> {
        let lock = self.lock(studio).await;
        let _only_one = lock.lock().await;
        let folder = self.folder(studio);
        self.end(studio, &folder, grace)
            .await
            .map_err(|error| unavailable("ending the studio's processes", error))?;
        folder
            .remove(keep_files)
            .map_err(|error| unavailable("removing the studio's folder", error))
    }

    async fn list_studios(&self) -> Result<Vec<(StudioId, PodState)>, RuntimeError> {
        let known = folder::studios(&self.config.root)
            .map_err(|error| unavailable("listing studios", error))?;
        let mut listed = Vec::new();
        for studio in known {
            let state = self.observe_studio(&studio).await?;
            listed.push((studio, state));
        }
        Ok(listed)
    }

    async fn changed(&self) -> StudioId {
        match self.changed.lock().await.recv().await {
            Some(studio) => studio,
            None => std::future::pending().await,
        }
    }

    async fn close(&self, cancel: CancellationToken) {
        self.closed.cancel();
        self.watchers.close();
        // Agents that this program started are still its children, and go on: their reapers are left to their fate.
        tokio::select! {
            () = self.watchers.wait() => (),
            () = cancel.cancelled() => (),
        }
    }
}

/// Resolves when the process is gone, whosever child it is. Cancel safe.
async fn wait_for_end(identity: &ProcessIdentity) -> io::Result<()> {
    let Some(pid) = rustix::process::Pid::from_raw(identity.pid) else { return Ok(()) };
    let handle = match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        #[expect(
            deprecated,
            reason = "the handle owns its descriptor: nobody closes it while it is registered"
        )]
        Ok(handle) => AsyncFd::new(handle)?,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // The handle is of this process only if it was alive when the handle was there already.
    if identity.alive() {
        drop(handle.readable().await?);
    }
    Ok(())
}

fn path_text(path: &Path) -> io::Result<String> {
    path.to_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| io::Error::other("the data folder's path is not UTF-8"))
}

fn unavailable(what: &'static str, error: io::Error) -> RuntimeError {
    RuntimeError::Unavailable { what, source: Box::new(error) }
}
