//! What people ask for.

use std::sync::Arc;

use sync::{ConflictToken, Direction, Keep, Meter, OnMassDeletion, RelPath, Request, Resolution};

use super::{
    SyncService, report,
    run::{self, Order},
    wishes::in_words,
};
use crate::{
    app::{
        AppError,
        studios::StudioRight,
        tasks::{Ending, TaskHandle},
    },
    domain::{
        ids::{Login, StudioId},
        launch::Mount,
        mounts::SyncCause,
        permission::Principal,
        studio::{Studio, StudioState},
        sync::{Decision, KeepChoice, OpenIssues, SyncDirection, SyncOrder, SyncResult},
        task::{StepStatus, Task, TaskKind},
    },
};

impl SyncService {
    /// Synchronises as a task, whose result is a [`SyncResult`].
    pub async fn order(
        self: &Arc<Self>,
        who: &Principal,
        id: &StudioId,
        order: SyncOrder,
    ) -> Result<Task, AppError> {
        let studio = self.studios.get(who, id, StudioRight::Use).await?;
        if studio.state != StudioState::Running {
            return Err(AppError::conflict("only a running studio's files can be synchronised"));
        }
        self.check(&studio, &order).await?;
        let (task, handle) = self.tasks.create(TaskKind::Synchronise, id, &who.login).await?;
        self.audit.record(&who.login, "studio.synchronise", id, &studio.name).await?;
        let (service, author) = (Arc::clone(self), who.login.clone());
        self.tracker.spawn(async move {
            if let Err(error) = service.carry_out(&studio, &order, &author, &handle).await {
                tracing::error!(error = &error as &dyn std::error::Error, "a task can't be ended");
            }
        });
        Ok(task)
    }

    /// What waits for an answer, by mount.
    pub async fn open_issues(
        &self,
        who: &Principal,
        id: &StudioId,
    ) -> Result<OpenIssues, AppError> {
        self.studios.get(who, id, StudioRight::Use).await?;
        self.open_issues_of(id).await
    }

    /// The same for services that have checked already.
    pub async fn open_issues_of(&self, id: &StudioId) -> Result<OpenIssues, AppError> {
        let mut all = OpenIssues::default();
        for (_, open) in self.store.open_issues(id).await? {
            let open: OpenIssues = serde_json::from_value(open)
                .map_err(|error| AppError::internal("reading what is open", error))?;
            all.conflicts.extend(open.conflicts);
            all.questions.extend(open.questions);
        }
        Ok(all)
    }

    /// Ends tasks that a program before this one left.
    pub async fn end_abandoned_tasks(&self) -> Result<(), AppError> {
        for task in self.tasks.unfinished().await? {
            if task.kind == TaskKind::Synchronise {
                let why =
                    "the server was stopped meanwhile; what was done is done: synchronise again";
                self.tasks.resume(&task.id).await.end(Ending::Failed(why.to_owned())).await?;
            }
        }
        Ok(())
    }

    async fn check(&self, studio: &Studio, order: &SyncOrder) -> Result<(), AppError> {
        let mounts = self.mounts_of(studio).await?;
        let named = order
            .mounts
            .iter()
            .flatten()
            .chain(&order.allow_mass_deletion)
            .chain(&order.undo_mass_deletion)
            .chain(order.decisions.iter().map(|decision| &decision.mount));
        for name in named {
            if !mounts.iter().any(|mount| mount.id == *name) {
                return Err(AppError::not_found("mount", name));
            }
        }
        for decision in &order.decisions {
            path_of(decision)?;
            token_of(decision)?;
        }
        Ok(())
    }

    async fn carry_out(
        self: &Arc<Self>,
        studio: &Studio,
        order: &SyncOrder,
        author: &Login,
        task: &TaskHandle,
    ) -> Result<(), AppError> {
        task.event("synchronise", StepStatus::Began, "").await?;
        let done = tokio::select! {
            done = self.synchronise(studio, order, author) => done,
            () = task.cancelled().cancelled() => {
                return task.end(Ending::Cancelled).await;
            }
        };
        match done {
            Ok(result) => {
                task.event("synchronise", StepStatus::Done, &in_words(&result)).await?;
                let result = serde_json::to_value(&result)
                    .map_err(|error| AppError::internal("telling the result", error))?;
                task.end(Ending::Succeeded(result)).await
            }
            Err(error) => {
                task.event("synchronise", StepStatus::Failed, &error.to_string()).await?;
                task.end(Ending::Failed(error.to_string())).await
            }
        }
    }

    /// Mount after mount.
    pub(super) async fn synchronise(
        self: &Arc<Self>,
        studio: &Studio,
        order: &SyncOrder,
        author: &Login,
    ) -> Result<SyncResult, AppError> {
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let author = self.author(author, &studio.id).await?;
        let mut result = SyncResult::default();
        for mount in self.mounts_of(studio).await? {
            if order.mounts.as_ref().is_some_and(|wanted| !wanted.contains(&mount.id)) {
                continue;
            }
            let request = self.request(studio, &mount, order).await?;
            let order = Order::new(request, author.clone(), SyncCause::Asked);
            let run = self.run_merging(studio, &mount, order, Meter::default()).await?;
            result.commits.extend(run.commits.iter().map(|commit| report::commit(&mount, commit)));
            let outcome = run.outcome.map_err(|error| run::why(&error))?;
            self.keep_open_issues(studio, &mount, &outcome).await?;
            let slow = self.watches.of(&studio.id, &mount.id).losses().span();
            let mut told = report::mount_result(&mount, &outcome, slow);
            told.brought_back = run.brought_back;
            told.merged = run.merged.iter().map(RelPath::to_string).collect();
            self.name_authors(studio, &mount, &mut told.conflicts).await;
            result.mounts.push(told);
        }
        Ok(result)
    }

    async fn request(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        order: &SyncOrder,
    ) -> Result<Request, AppError> {
        let mut resolutions = Vec::new();
        for decision in order.decisions.iter().filter(|decision| decision.mount == mount.id) {
            let path = path_of(decision)?;
            let keep = match decision.keep {
                KeepChoice::Studio => Keep::Studio,
                KeepChoice::Server => Keep::Server,
                KeepChoice::Both => Keep::Both,
                KeepChoice::Merge => Keep::Content(self.merged(studio, mount, &path).await?),
            };
            resolutions.push(Resolution { path, keep, expect: token_of(decision)? });
        }
        Ok(Request {
            direction: match order.direction {
                SyncDirection::Both => Direction::Both,
                SyncDirection::Pull => Direction::ToServer,
                SyncDirection::Push => Direction::ToStudio,
                SyncDirection::Check => Direction::Check,
            },
            on_mass_deletion: if order.allow_mass_deletion.contains(&mount.id) {
                OnMassDeletion::Allow
            } else if order.undo_mass_deletion.contains(&mount.id) {
                OnMassDeletion::Restore
            } else {
                OnMassDeletion::Ask
            },
            resolutions,
            ..Request::default()
        })
    }
}

fn path_of(decision: &Decision) -> Result<RelPath, AppError> {
    RelPath::try_from(decision.path.as_slice())
        .map_err(|error| AppError::invalid("path", error.to_string()))
}

fn token_of(decision: &Decision) -> Result<Option<ConflictToken>, AppError> {
    let parsed = decision.token.as_deref().map(str::parse).transpose();
    parsed.map_err(|error: sync::InvalidToken| AppError::invalid("token", error.to_string()))
}
