//! One mount, from the lock to the commit.

use std::{path::PathBuf, sync::Arc};

use sync::{
    CancelFlag, Context, Direction, Exclusions, Meter, Outcome, RelPath, Request, ServerSide,
};
use tokio::time::Instant;

use super::{SyncService, link::AgentLink, losses::Span};
use crate::{
    app::AppError,
    domain::{
        launch::Mount,
        mounts::SyncCause,
        studio::Studio,
        zone_files::{Author, NewCommit, ZonePath},
    },
};

/// What a run of one mount came to.
pub(super) struct MountRun {
    pub outcome: Result<Outcome, sync::Error>,
    /// Also where the run broke off.
    pub commits: Vec<NewCommit>,
    /// Texts that were merged.
    pub merged: Vec<RelPath>,
    /// Files that came back to the zone out of its trash.
    pub brought_back: u64,
}

/// What is to be run, for whom, and why.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub request: Request,
    pub author: Author,
    pub cause: SyncCause,
    /// Texts whose merges are among the resolutions.
    pub merged: Vec<RelPath>,
}

impl Order {
    pub(super) const fn new(request: Request, author: Author, cause: SyncCause) -> Self {
        Self { request, author, cause, merged: Vec::new() }
    }

    /// Whether to look for what has to be committed also where nothing changed: a run before may have been cut off from its
    /// commit. Live runs come too often for that.
    fn commits_always(&self) -> bool {
        self.cause != SyncCause::Live
    }

    fn author(&self) -> Author {
        let mut author = self.author.clone();
        if !self.merged.is_empty() {
            author.name.push_str(" (merged automatically)");
        }
        author
    }

    fn subject(&self, studio: &str) -> String {
        if self.merged.is_empty() {
            return format!("Synchronise from studio {studio}");
        }
        let mut paths: Vec<String> =
            self.merged.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        if self.merged.len() > MOST_NAMED {
            paths.push(format!("and {} more", self.merged.len() - MOST_NAMED));
        }
        format!("Merge changes of both sides with studio {studio}: {}", paths.join(", "))
    }
}

/// Merged texts that a commit names.
const MOST_NAMED: usize = 5;

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
        order: Order,
        meter: Meter,
    ) -> Result<MountRun, AppError> {
        let cancel = CancelFlag::default();
        let end = EndOnDrop(cancel.clone());
        self.follow(studio, mount);
        let (service, studio, mount) = (Arc::clone(self), studio.clone(), mount.clone());
        let run = self.tracker.spawn(async move {
            let (activity, now) = (&service.activity, service.clock.now());
            let direction = order.request.direction;
            service.recall(&studio.id).await?;
            let begun = activity.begin(&studio.id, &mount.id, direction, &meter, now);
            let (cause, merged) = (order.cause, order.merged.len() as u64);
            let done = service.locked(&studio, &mount, order, meter, cancel).await;
            if let Some(begun) = begun {
                begun.end(cause, merged, &done);
                service.keep_statistics();
            }
            done
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
        mut order: Order,
        meter: Meter,
        cancel: CancelFlag,
    ) -> Result<MountRun, AppError> {
        let guard = self.zones.lock(&mount.zone).await?;
        let side = self.side_of(studio, mount).await?;
        let takes = matches!(order.request.direction, Direction::Both | Direction::ToServer);
        self.know_losses(studio, mount, &order.request).await?;
        let brought_back = self.undo_losses(&guard, studio, mount, &order.request).await?;
        order.request.lost_before = self.lost_before(studio, mount, &order.request);
        let began_at = self.clock.now();
        let request = order.request.clone();
        let outcome = self.engine(studio, mount, side, request, meter, cancel).await?;
        if let Ok(outcome) = &outcome {
            let span = Span { since: began_at, until: self.clock.now() };
            self.note_losses(studio, mount, &order, outcome, span);
        }
        let whole = |outcome: &Outcome| {
            let (conflicts, questions) = (&outcome.conflicts, &outcome.questions);
            let all = outcome.skipped.iter().all(|skipped| skipped.special);
            takes && all && conflicts.is_empty() && questions.is_empty()
        };
        let is_quiet = outcome.as_ref().is_ok_and(|outcome| {
            outcome.server_changes.is_empty() && outcome.studio_changes.is_empty()
        });
        let commit = if is_quiet && !order.commits_always() {
            None
        } else {
            let (author, subject) = (order.author(), order.subject(&studio.name));
            self.zones.commit(&guard, &mount.zone, &author, &subject).await?
        };
        if outcome.as_ref().is_ok_and(whole)
            && let Err(error) = self.forget_shadow(studio, mount).await
        {
            // The next look puts them right.
            tracing::warn!(studio = %studio.id, error = &error as &dyn std::error::Error, "old shadow copies stay");
        }
        let commits = commit.into_iter().collect();
        Ok(MountRun { outcome, commits, merged: order.merged, brought_back })
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
        meter: Meter,
        cancel: CancelFlag,
    ) -> Result<Result<Outcome, sync::Error>, AppError> {
        let run_id = format!("{}-{}-{}", studio.id, studio.epoch, mount.id);
        let pipe = self.agents.exchange(&studio.id, &mount.id, &run_id, mount.live).await?;
        let watched = self.watches.of(&studio.id, &mount.id);
        let watch = Some(Arc::clone(&watched.watch));
        let context = Context { cancel, watch, meter, ..Context::system() };
        let outcome = tokio::task::spawn_blocking(move || {
            let mut link = AgentLink(pipe);
            let began = Instant::now();
            let outcome = sync::run(&side, &request, &mut link, &context);
            watched.took(began.elapsed());
            outcome
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
