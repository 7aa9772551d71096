//! Studios: made, wanted running or stopped, handed over, removed. What is wanted is kept here; the reconciler makes it so.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{
    AppError, audit::AuditLog, error::check_text, projects::ProjectService, tasks::TaskService,
    templates::TemplateService,
};
use crate::{
    clock::SharedClock,
    domain::{
        ids::{Login, ProjectKey, StudioId, TemplateId},
        permission::{MissingRight, Principal, Right},
        studio::{DesiredState, Studio, StudioState},
        task::{Task, TaskKind},
        user::Scope,
    },
    store::Store,
};

/// What somebody may do with a studio; each includes those before it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StudioRight {
    /// Know that it is there.
    See,
    /// Start, stop, hand over, delete.
    Manage,
    /// All of it: its files, applications, shell. Its owner only.
    Use,
}

/// Puts a template's starter files into the zones of a new studio, never over a file that is there.
#[async_trait]
pub trait StarterFiles: Send + Sync {
    async fn copy(&self, studio: &Studio) -> Result<(), AppError>;
}

/// Removes what a deleted studio leaves on the server: its zones go to where deleted things are kept.
#[async_trait]
pub trait StudioRemains: Send + Sync {
    async fn remove(&self, studio: &Studio) -> Result<(), AppError>;
}

pub struct StudioService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
    projects: Arc<ProjectService>,
    templates: Arc<TemplateService>,
    tasks: Arc<TaskService>,
    starter_files: Arc<dyn StarterFiles>,
    remains: Arc<dyn StudioRemains>,
    changed: broadcast::Sender<StudioId>,
}

impl StudioService {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different service; a struct of them would be built once too"
    )]
    pub fn new(
        store: Arc<dyn Store>,
        clock: SharedClock,
        audit: AuditLog,
        projects: Arc<ProjectService>,
        templates: Arc<TemplateService>,
        tasks: Arc<TaskService>,
        starter_files: Arc<dyn StarterFiles>,
        remains: Arc<dyn StudioRemains>,
    ) -> Self {
        let (changed, _) = broadcast::channel(1024);
        Self { store, clock, audit, projects, templates, tasks, starter_files, remains, changed }
    }

    /// Ids of studios whose wanted or actual state may have changed. A receiver that falls behind is told so, and looks at
    /// all of them.
    pub fn changes(&self) -> broadcast::Receiver<StudioId> {
        self.changed.subscribe()
    }

    /// Tells everybody who watches studios that this one may have changed.
    pub fn touch(&self, id: &StudioId) {
        // Without a receiver there is nobody to tell.
        drop(self.changed.send(id.clone()));
    }

    pub async fn create(
        &self,
        who: &Principal,
        project: &ProjectKey,
        name: &str,
        template: &TemplateId,
    ) -> Result<Studio, AppError> {
        let project = self.projects.get(who, project, Right::Write).await?;
        check_text("name", name, 100)?;
        let template = self.templates.usable(who, template).await?;
        let studio = Studio {
            id: StudioId::random(),
            project: project.key,
            name: name.trim().to_owned(),
            owner: who.login.clone(),
            template: template.id,
            template_version: None,
            build: None,
            desired: DesiredState::Stopped,
            state: StudioState::Stopped,
            epoch: 0,
            task: None,
            failure: None,
            created_at: self.clock.now(),
            started_at: None,
        };
        self.store.create_studio(&studio).await?;
        if let Err(error) = self.starter_files.copy(&studio).await {
            self.store.delete_studio(&studio.id).await?;
            return Err(error);
        }
        self.audit.record(&who.login, "studio.create", &studio.id, &studio.name).await?;
        self.touch(&studio.id);
        Ok(studio)
    }

    /// What the caller may do with a studio; `None`: it does not even exist for them.
    pub async fn right_of(
        &self,
        who: &Principal,
        studio: &Studio,
    ) -> Result<Option<StudioRight>, AppError> {
        if studio.owner == who.login {
            return Ok(Some(StudioRight::Use));
        }
        let project = self.store.project(&studio.project).await?;
        Ok(match project.and_then(|project| project.right_of(who)) {
            Some(Right::Admin) => Some(StudioRight::Manage),
            Some(Right::Write | Right::Read) => Some(StudioRight::See),
            None => None,
        })
    }

    /// The studio, if the caller has the right.
    pub async fn get(
        &self,
        who: &Principal,
        id: &StudioId,
        right: StudioRight,
    ) -> Result<Studio, AppError> {
        let not_found = || AppError::not_found("studio", id);
        let studio = self.store.studio(id).await?.ok_or_else(not_found)?;
        let has = self.right_of(who, &studio).await?.ok_or_else(not_found)?;
        if right > StudioRight::See {
            who.require_scope(Scope::Write)?;
        }
        if has >= right {
            return Ok(studio);
        }
        Err(who
            .refusal(match right {
                StudioRight::Use | StudioRight::See => MissingRight::OwnerOfStudio,
                StudioRight::Manage => {
                    MissingRight::InProject { project: studio.project, right: Right::Admin }
                }
            })
            .into())
    }

    /// Those that the caller may see, by name.
    pub async fn list(
        &self,
        who: &Principal,
        project: Option<&ProjectKey>,
        owner: Option<&Login>,
    ) -> Result<Vec<(Studio, StudioRight)>, AppError> {
        let mut seen = Vec::new();
        for studio in self.store.studios(project).await? {
            if owner.is_none_or(|owner| *owner == studio.owner)
                && let Some(right) = self.right_of(who, &studio).await?
            {
                seen.push((studio, right));
            }
        }
        Ok(seen)
    }

    /// Renames it, or hands it over to somebody who may write in the project.
    pub async fn change(
        &self,
        who: &Principal,
        id: &StudioId,
        name: Option<String>,
        owner: Option<Login>,
    ) -> Result<Studio, AppError> {
        let mut studio = self.get(who, id, StudioRight::Manage).await?;
        if let Some(name) = name {
            check_text("name", &name, 100)?;
            name.trim().clone_into(&mut studio.name);
        }
        if let Some(owner) = owner.filter(|owner| *owner != studio.owner) {
            if studio.state != StudioState::Stopped {
                return Err(AppError::conflict(
                    "a studio is handed over while it is stopped: it holds its owner's files",
                ));
            }
            self.may_own(&owner, &studio).await?;
            studio.owner = owner;
        }
        self.store.rename_studio(&studio).await?;
        self.audit.record(&who.login, "studio.change", id, studio.owner.as_str()).await?;
        self.touch(id);
        Ok(studio)
    }

    async fn may_own(&self, owner: &Login, studio: &Studio) -> Result<(), AppError> {
        let user =
            self.store.user(owner).await?.ok_or_else(|| AppError::not_found("user", owner))?;
        let groups = self.store.groups_of(owner).await?.into_iter().collect();
        let somebody =
            Principal { login: user.login, admin: user.admin, groups, scope: Scope::Admin };
        let project = self.store.project(&studio.project).await?;
        let project = project.ok_or_else(|| AppError::not_found("project", &studio.project))?;
        Ok(project.require(&somebody, Right::Write)?)
    }

    /// Wants it running. The answer is the task that makes it so; asking twice answers with the same task.
    pub async fn start(&self, who: &Principal, id: &StudioId) -> Result<Task, AppError> {
        let studio = self.get(who, id, StudioRight::Manage).await?;
        if studio.state == StudioState::Stopped
            && self.store.good_build(&studio.template).await?.is_none()
        {
            return Err(AppError::conflict(
                "its template has no image yet: build the template first",
            ));
        }
        self.want(who, studio, DesiredState::Running).await
    }

    /// Wants it stopped.
    pub async fn stop(&self, who: &Principal, id: &StudioId) -> Result<Task, AppError> {
        let studio = self.get(who, id, StudioRight::Manage).await?;
        self.want(who, studio, DesiredState::Stopped).await
    }

    /// Stops a running studio and starts it again, with the newest image. The answer is the task of the new start.
    pub async fn restart(&self, who: &Principal, id: &StudioId) -> Result<Task, AppError> {
        let mut studio = self.get(who, id, StudioRight::Manage).await?;
        if studio.state == StudioState::Stopped {
            return self.start(who, id).await;
        }
        if studio.state != StudioState::Running || studio.desired != DesiredState::Running {
            return Err(AppError::conflict("it is being started or stopped: wait for that"));
        }
        let (task, _) = self.tasks.create(TaskKind::StartStudio, &studio.id, &who.login).await?;
        self.store.set_desired(&studio.id, DesiredState::Running, &task.id).await?;
        // A studio that is stopping and wanted running is stopped first, then started.
        studio.state = StudioState::Stopping;
        self.store.set_actual(&studio).await?;
        self.audit.record(&who.login, "studio.restart", &studio.id, &studio.name).await?;
        self.touch(&studio.id);
        Ok(task)
    }

    async fn want(
        &self,
        who: &Principal,
        studio: Studio,
        desired: DesiredState,
    ) -> Result<Task, AppError> {
        let (kind, busy) = match desired {
            DesiredState::Running => (TaskKind::StartStudio, StudioState::Starting),
            DesiredState::Stopped => (TaskKind::StopStudio, StudioState::Stopping),
        };
        if studio.desired == desired
            && let Some(id) = &studio.task
        {
            let task = self.tasks.get(id).await?;
            let settled = studio.state != busy && task.ended_at.is_some();
            let there = match desired {
                DesiredState::Running => studio.state == StudioState::Running,
                DesiredState::Stopped => studio.state == StudioState::Stopped && task.kind == kind,
            };
            if task.kind == kind && (!settled || there) {
                return Ok(task);
            }
        }
        let (task, _) = self.tasks.create(kind, &studio.id, &who.login).await?;
        self.store.set_desired(&studio.id, desired, &task.id).await?;
        let action = match desired {
            DesiredState::Running => "studio.start",
            DesiredState::Stopped => "studio.stop",
        };
        self.audit.record(&who.login, action, &studio.id, &studio.name).await?;
        self.touch(&studio.id);
        Ok(task)
    }

    /// Removes a stopped studio. Its zones' content is kept for as long as deleted files are.
    pub async fn delete(&self, who: &Principal, id: &StudioId) -> Result<(), AppError> {
        let studio = self.get(who, id, StudioRight::Manage).await?;
        if studio.state != StudioState::Stopped || studio.desired != DesiredState::Stopped {
            return Err(AppError::conflict(
                "stop the studio first, so that its files are brought back",
            ));
        }
        self.remains.remove(&studio).await?;
        self.store.delete_studio(id).await?;
        self.audit.record(&who.login, "studio.delete", id, &studio.name).await?;
        self.touch(id);
        Ok(())
    }
}
