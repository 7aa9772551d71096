//! Who may do what with which zone. A project's zones go by the rights in it, a studio's and a user's are their owner's.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use time::{Duration, OffsetDateTime};

use super::{
    AppError,
    audit::AuditLog,
    projects::ProjectService,
    studios::{StudioRemains, StudioRight, StudioService},
};
use crate::{
    domain::{
        ids::{Login, ProjectKey, StudioId},
        permission::{MissingRight, Principal, Right},
        studio::Studio,
        user::Scope,
        zone::{ZoneKind, ZoneOwner, ZoneRef, ZoneScope},
        zone_files::{Author, CommitInfo, FileChange, NewCommit, TrashItem, ZoneFile, ZonePath},
    },
    store::Store,
    zones::{Content, NewContent, Range, Written, ZoneError, Zones},
};

/// How long what was replaced or deleted can be had back.
const TRASH_KEPT: Duration = Duration::days(30);

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl From<ZoneError> for AppError {
    fn from(error: ZoneError) -> Self {
        match error {
            ZoneError::NotFound { path } => Self::not_found("file", path),
            ZoneError::WrongKind { .. } => Self::invalid("path", error.to_string()),
            ZoneError::Changed { .. } => Self::Stale { why: error.to_string() },
            ZoneError::Exists { .. } | ZoneError::NotVersioned => Self::conflict(error.to_string()),
            ZoneError::Content { why } => Self::invalid("content", why),
            ZoneError::Io { .. } | ZoneError::History { .. } => Self::internal("the zone", error),
        }
    }
}

pub struct ZoneService {
    store: Arc<dyn Store>,
    audit: AuditLog,
    projects: Arc<ProjectService>,
    studios: Arc<StudioService>,
    zones: Arc<dyn Zones>,
}

impl ZoneService {
    pub fn new(
        store: Arc<dyn Store>,
        audit: AuditLog,
        projects: Arc<ProjectService>,
        studios: Arc<StudioService>,
        zones: Arc<dyn Zones>,
    ) -> Self {
        Self { store, audit, projects, studios, zones }
    }

    async fn check(&self, who: &Principal, zone: &ZoneRef, access: Access) -> Result<(), AppError> {
        if access == Access::Write {
            who.require_scope(Scope::Write)?;
        }
        match zone.owner() {
            ZoneOwner::Project(key) => {
                let right = match access {
                    Access::Read => Right::Read,
                    Access::Write => Right::Write,
                };
                self.projects.get(who, key, right).await?;
            }
            ZoneOwner::Studio(id) => {
                let studio = self.studios.get(who, id, StudioRight::See).await?;
                if studio.owner != who.login {
                    return Err(who.refusal(MissingRight::OwnerOfStudio).into());
                }
            }
            // Not even administrators look into others' zones; nor do they learn what is there.
            ZoneOwner::User(login) if *login != who.login => {
                return Err(AppError::not_found("zone", zone));
            }
            ZoneOwner::User(_) => {}
        }
        Ok(())
    }

    /// As commits name somebody.
    pub async fn author(
        &self,
        login: &Login,
        studio: Option<StudioId>,
    ) -> Result<Author, AppError> {
        let user = self.store.user(login).await?;
        let (name, email) = user.map(|user| (user.name, user.email)).unwrap_or_default();
        Ok(Author::user(login, &name, &email, studio))
    }

    pub async fn of_project(
        &self,
        who: &Principal,
        key: &ProjectKey,
    ) -> Result<Vec<ZoneRef>, AppError> {
        self.projects.get(who, key, Right::Read).await?;
        Ok(refs("project", ZoneScope::Project, key.as_str()))
    }

    pub async fn of_studio(
        &self,
        who: &Principal,
        id: &StudioId,
    ) -> Result<Vec<ZoneRef>, AppError> {
        self.studios.get(who, id, StudioRight::See).await?;
        Ok(refs("studio", ZoneScope::Studio, id.as_str()))
    }

    pub fn of_user(who: &Principal) -> Vec<ZoneRef> {
        refs("user", ZoneScope::User, who.login.as_str())
    }

    pub async fn list(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
    ) -> Result<Vec<ZoneFile>, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.list(zone, path).await?)
    }

    pub async fn read(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
        range: Option<Range>,
    ) -> Result<Content, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.read(zone, path, range).await?)
    }

    pub async fn write(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
        content: NewContent,
    ) -> Result<Written, AppError> {
        self.check(who, zone, Access::Write).await?;
        let author = self.author(&who.login, None).await?;
        Ok(self.zones.write(zone, path, content, &author).await?)
    }

    pub async fn delete(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
        if_match: Option<&str>,
    ) -> Result<Option<NewCommit>, AppError> {
        self.check(who, zone, Access::Write).await?;
        let author = self.author(&who.login, None).await?;
        let commit = self.zones.delete(zone, path, if_match, &author).await?;
        self.audit.record(&who.login, "zone.delete", zone, &path.to_string()).await?;
        Ok(commit)
    }

    pub async fn create_folder(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
    ) -> Result<(), AppError> {
        self.check(who, zone, Access::Write).await?;
        Ok(self.zones.create_folder(zone, path).await?)
    }

    pub async fn history(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<CommitInfo>, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.history(zone, path, limit, after).await?)
    }

    pub async fn commit_changes(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        commit: &str,
    ) -> Result<(CommitInfo, Vec<FileChange>), AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.commit_changes(zone, commit).await?)
    }

    pub async fn content_at(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        commit: &str,
        path: &ZonePath,
    ) -> Result<Bytes, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.content_at(zone, commit, path).await?)
    }

    pub async fn restore(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        path: &ZonePath,
        commit: &str,
    ) -> Result<Option<NewCommit>, AppError> {
        self.check(who, zone, Access::Write).await?;
        let author = self.author(&who.login, None).await?;
        Ok(self.zones.restore(zone, path, commit, &author).await?)
    }

    pub async fn trash(&self, who: &Principal, zone: &ZoneRef) -> Result<Vec<TrashItem>, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.trash(zone).await?)
    }

    /// What is in an item of the trash that is a folder.
    pub async fn trash_in(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        id: &str,
    ) -> Result<Vec<TrashItem>, AppError> {
        self.check(who, zone, Access::Read).await?;
        Ok(self.zones.trash_in(zone, id).await?)
    }

    /// Removes for good what has been in the trash for too long.
    pub async fn expire_trash(&self, now: OffsetDateTime) -> Result<(), AppError> {
        Ok(self.zones.expire_trash(now - TRASH_KEPT).await?)
    }

    pub async fn restore_trash(
        &self,
        who: &Principal,
        zone: &ZoneRef,
        id: &str,
    ) -> Result<ZonePath, AppError> {
        self.check(who, zone, Access::Write).await?;
        let author = self.author(&who.login, None).await?;
        Ok(self.zones.restore_trash(zone, id, &author).await?)
    }
}

fn refs(scope_name: &str, scope: ZoneScope, owner: &str) -> Vec<ZoneRef> {
    ZoneKind::ALL
        .into_iter()
        .filter(|kind| kind.scope() == scope)
        .filter_map(|kind| format!("{scope_name}:{owner}:{}", kind.name()).parse().ok())
        .collect()
}

/// What a deleted studio leaves: its own zones go to where deleted things are kept.
pub struct RetireZones(pub Arc<dyn Zones>);

#[async_trait]
impl StudioRemains for RetireZones {
    async fn remove(&self, studio: &Studio) -> Result<(), AppError> {
        for zone in refs("studio", ZoneScope::Studio, studio.id.as_str()) {
            self.0.retire(&zone).await?;
        }
        Ok(())
    }
}
