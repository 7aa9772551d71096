//! Projects.

use std::sync::Arc;

use super::{
    AppError,
    audit::AuditLog,
    error::{check_prose, check_text},
};
use crate::{
    domain::{
        ids::ProjectKey,
        permission::{Principal, Right},
        project::{Grant, Project},
        user::Scope,
    },
    store::Store,
};

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub permissions: Option<Vec<Grant>>,
}

pub struct ProjectService {
    store: Arc<dyn Store>,
    audit: AuditLog,
}

impl ProjectService {
    pub fn new(store: Arc<dyn Store>, audit: AuditLog) -> Self {
        Self { store, audit }
    }

    pub async fn create(&self, who: &Principal, project: Project) -> Result<Project, AppError> {
        who.require_admin()?;
        check_text("name", &project.name, 100)?;
        check_prose("description", &project.description, 4000)?;
        self.store.create_project(&project).await?;
        self.audit.record(&who.login, "project.create", &project.key, "").await?;
        Ok(project)
    }

    /// Those that the caller may at least read.
    pub async fn list(&self, who: &Principal) -> Result<Vec<Project>, AppError> {
        let mut projects = self.store.projects().await?;
        projects.retain(|project| project.right_of(who).is_some());
        Ok(projects)
    }

    /// The project, if the caller has the right in it. Without any right it does not even exist.
    pub async fn get(
        &self,
        who: &Principal,
        key: &ProjectKey,
        right: Right,
    ) -> Result<Project, AppError> {
        let project =
            self.store.project(key).await?.filter(|project| project.right_of(who).is_some());
        let project = project.ok_or_else(|| AppError::not_found("project", key))?;
        project.require(who, right)?;
        if right > Right::Read {
            who.require_scope(Scope::Write)?;
        }
        Ok(project)
    }

    pub async fn change(
        &self,
        who: &Principal,
        key: &ProjectKey,
        change: ProjectChange,
    ) -> Result<Project, AppError> {
        let mut project = self.get(who, key, Right::Admin).await?;
        if let Some(name) = change.name {
            check_text("name", &name, 100)?;
            project.name = name;
        }
        if let Some(description) = change.description {
            check_prose("description", &description, 4000)?;
            project.description = description;
        }
        if let Some(permissions) = change.permissions {
            project.permissions = permissions;
        }
        self.store.update_project(&project).await?;
        self.audit.record(&who.login, "project.change", key, "").await?;
        Ok(project)
    }

    /// Removes an empty project; its zones stay on the disk.
    pub async fn delete(&self, who: &Principal, key: &ProjectKey) -> Result<(), AppError> {
        who.require_admin()?;
        let studios = self.store.studios(Some(key)).await?;
        if !studios.is_empty() {
            return Err(AppError::conflict(format!(
                "{key} has {} studios: delete them first",
                studios.len()
            )));
        }
        if !self.store.delete_project(key).await? {
            return Err(AppError::not_found("project", key));
        }
        self.audit.record(&who.login, "project.delete", key, "").await
    }
}
