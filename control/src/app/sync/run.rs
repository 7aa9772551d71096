//! One mount, from the lock to the commit.

use std::{path::PathBuf, sync::Arc};

use sync::{CancelFlag, Context, Direction, Exclusions, Outcome, Progress, Request, ServerSide};
use tokio::sync::watch;

use super::{SyncService, link::AgentLink};
use crate::{
    app::AppError,
    domain::{
        launch::Mount,
        studio::Studio,
        zone_files::{Author, NewCommit, ZonePath},
    },
};

/// What a run of one mount came to.
pub(super) struct MountRun {
    pub outcome: Result<Outcome, sync::Error>,
    /// Also where the run broke off.
    pub commit: Option<NewCommit>,
}

/// Whether to look for what has to be committed also where nothing changed: a run before may have been cut off from its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    Always,
    IfChanged,
}

struct Order {
    request: Request,
    author: Author,
    commit: Commit,
}

/// Ends a run whose caller is gone.
struct EndOnDrop(CancelFlag);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl SyncService {
    /// Synchronises one mount. Dropping the future ends the run at its next safe point; the zone stays locked until then.
    pub(super) async fn run_mount(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        request: Request,
        author: Author,
        progress: watch::Sender<Progress>,
    ) -> Result<MountRun, AppError> {
        self.run(studio, mount, request, author, progress, Commit::Always).await
    }

    /// The same, as often as something may have changed.
    pub(super) async fn run_live_mount(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        author: Author,
    ) -> Result<MountRun, AppError> {
        let (progress, _) = watch::channel(Progress::default());
        self.run(studio, mount, Request::default(), author, progress, Commit::IfChanged).await
    }

    async fn run(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        request: Request,
        author: Author,
        progress: watch::Sender<Progress>,
        commit: Commit,
    ) -> Result<MountRun, AppError> {
        let cancel = CancelFlag::default();
        let end = EndOnDrop(cancel.clone());
        self.follow(studio, mount);
        let (service, studio, mount) = (Arc::clone(self), studio.clone(), mount.clone());
        let run = self.tracker.spawn(async move {
            let order = Order { request, author, commit };
            service.locked(&studio, &mount, order, progress, cancel).await
        });
        let shutdown = self.shutdown.clone();
        let stop = CancelFlag::clone(&end.0);
        let watch = async move {
            shutdown.cancelled().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let done = tokio::select! {
            done = run => done,
            () = watch => return Err(AppError::conflict("the server is stopped")),
        };
        drop(end);
        done.map_err(|error| AppError::internal("the synchronisation", error))?
    }

    async fn locked(
        &self,
        studio: &Studio,
        mount: &Mount,
        order: Order,
        progress: watch::Sender<Progress>,
        cancel: CancelFlag,
    ) -> Result<MountRun, AppError> {
        let Order { request, author, commit } = order;
        let guard = self.zones.lock(&mount.zone).await?;
        let side = self.side_of(studio, mount).await?;
        let takes = matches!(request.direction, Direction::Both | Direction::ToServer);
        let outcome = self.engine(studio, mount, side, request, progress, cancel).await?;
        let whole = |outcome: &Outcome| {
            let (conflicts, questions) = (&outcome.conflicts, &outcome.questions);
            let all = outcome.skipped.iter().all(|skipped| skipped.special);
            takes && all && conflicts.is_empty() && questions.is_empty()
        };
        let subject = format!("Synchronise from studio {}", studio.name);
        let is_quiet = outcome.as_ref().is_ok_and(|outcome| {
            outcome.server_changes.is_empty() && outcome.studio_changes.is_empty()
        });
        let commit = if is_quiet && commit == Commit::IfChanged {
            None
        } else {
            self.zones.commit(&guard, &mount.zone, &author, &subject).await?
        };
        if outcome.as_ref().is_ok_and(whole)
            && let Err(error) = self.forget_shadow(studio, mount).await
        {
            // The next look puts them right.
            tracing::warn!(studio = %studio.id, error = &error as &dyn std::error::Error, "old shadow copies stay");
        }
        Ok(MountRun { outcome, commit })
    }

    /// The zone's end of a run.
    pub(super) async fn side_of(
        &self,
        studio: &Studio,
        mount: &Mount,
    ) -> Result<ServerSide, AppError> {
        let exclusions = Exclusions::parse(mount.exclusions.iter().map(String::as_str))
            .map_err(|error| AppError::invalid("exclusions", error.to_string()))?;
        let folders = self.zones.folders(&mount.zone).await?;
        let mount_name = blake3::hash(mount.id.as_bytes()).to_hex();
        Ok(ServerSide {
            root: part(folders.root, &mount.sub_folder)?,
            state_dir: folders.state.join(studio.id.as_str()).join(mount_name.as_str()),
            trash: folders.trash,
            one_way: mount.one_way,
            exclusions,
            studio_label: studio.name.clone(),
        })
    }

    /// One run of the engine with the studio's agent. The caller has the studio's turn.
    pub(super) async fn engine(
        &self,
        studio: &Studio,
        mount: &Mount,
        side: ServerSide,
        request: Request,
        progress: watch::Sender<Progress>,
        cancel: CancelFlag,
    ) -> Result<Result<Outcome, sync::Error>, AppError> {
        let run_id = format!("{}-{}-{}", studio.id, studio.epoch, mount.id);
        let pipe = self.agents.exchange(&studio.id, &mount.id, &run_id).await?;
        let watch = self.watches.of(&studio.id, &mount.id).watch;
        let context = Context { cancel, watch: Some(watch), ..Context::system() };
        let outcome = tokio::task::spawn_blocking(move || {
            let mut link = AgentLink(pipe);
            let mut told = |now: Progress| {
                // Nobody may be watching.
                progress.send_replace(now);
            };
            sync::run(&side, &request, &mut link, &context, &mut told)
        });
        outcome.await.map_err(|error| AppError::internal("the synchronisation", error))
    }
}

/// A folder of a zone, reached over no link: what is in a zone is its users', and may be one.
fn part(root: PathBuf, sub_folder: &str) -> Result<PathBuf, AppError> {
    let path = ZonePath::try_from(sub_folder.trim_matches('/').as_bytes())?;
    let mut at = root;
    for name in path.components() {
        at.push(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        if at.is_symlink() {
            return Err(AppError::conflict(format!(
                "{sub_folder} is mounted, but a symbolic link is in its way in the zone"
            )));
        }
    }
    Ok(at)
}

/// For people: why a run broke off.
pub(super) fn why(error: &sync::Error) -> AppError {
    match error {
        sync::Error::Link { source: sync::LinkError::Gone } | sync::Error::Cancelled => {
            AppError::Unreachable { why: error.chain() }
        }
        sync::Error::Link { .. } | sync::Error::Protocol { .. } => {
            AppError::conflict(error.chain())
        }
        sync::Error::Io { .. } | sync::Error::State { .. } => AppError::conflict(format!(
            "the files could not all be synchronised: {}",
            error.chain()
        )),
    }
}
