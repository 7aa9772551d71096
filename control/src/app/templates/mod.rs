//! Templates: saved as immutable versions, checked before they are kept, exported and imported as zip files.

mod archive;
mod rules;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{AppError, audit::AuditLog};
use crate::{
    auth::token,
    clock::SharedClock,
    domain::{
        ids::{GroupName, TemplateId},
        permission::{MissingRight, Principal},
        template::{Template, TemplateVersion},
    },
    store::Store,
};

pub use archive::ArchiveError;
pub use rules::{Resources, problems};

/// Largest resource.
const RESOURCE_LIMIT_BYTES: usize = 16 << 20;
/// Most resources of a template.
const RESOURCES_LIMIT: usize = 1000;

/// A template with its newest version.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeTemplate {
    pub head: Template,
    pub version: TemplateVersion,
}

pub struct TemplateService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
}

impl TemplateService {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock, audit: AuditLog) -> Self {
        Self { store, clock, audit }
    }

    /// Those that the caller may use; administrators see all.
    pub async fn list(&self, who: &Principal) -> Result<Vec<Template>, AppError> {
        let mut templates = self.store.templates().await?;
        templates.retain(|template| may_use(who, template));
        Ok(templates)
    }

    /// The template's head, if the caller may use it.
    pub async fn usable(&self, who: &Principal, id: &TemplateId) -> Result<Template, AppError> {
        let template =
            self.store.template(id).await?.ok_or_else(|| AppError::not_found("template", id))?;
        if may_use(who, &template) {
            Ok(template)
        } else {
            Err(who.refusal(MissingRight::TemplateGrant).into())
        }
    }

    pub async fn get(&self, who: &Principal, id: &TemplateId) -> Result<WholeTemplate, AppError> {
        let head = self.usable(who, id).await?;
        let version = self.version(&head.id, head.version).await?;
        Ok(WholeTemplate { head, version })
    }

    pub async fn version(&self, id: &TemplateId, number: u32) -> Result<TemplateVersion, AppError> {
        let version = self.store.template_version(id, number).await?;
        version.ok_or_else(|| AppError::not_found("template version", format!("{id} {number}")))
    }

    /// Newest first.
    pub async fn versions(
        &self,
        who: &Principal,
        id: &TemplateId,
    ) -> Result<Vec<TemplateVersion>, AppError> {
        self.usable(who, id).await?;
        Ok(self.store.template_versions(id).await?)
    }

    pub async fn create(&self, who: &Principal, spec: Value) -> Result<WholeTemplate, AppError> {
        self.insert(who, spec, Resources::new()).await
    }

    async fn insert(
        &self,
        who: &Principal,
        spec: Value,
        resources: Resources,
    ) -> Result<WholeTemplate, AppError> {
        who.require_admin()?;
        let (label, allowed_groups) = rules::check(&spec, &resources)?;
        let now = self.clock.now();
        let head = Template {
            id: TemplateId::random(),
            label,
            version: 1,
            allowed_groups,
            updated_at: now,
        };
        let version = TemplateVersion {
            template: head.id.clone(),
            version: 1,
            spec,
            resources: self.keep(&resources).await?,
            saved_by: who.login.clone(),
            saved_at: now,
        };
        self.store.create_template(&head, &version).await?;
        self.audit.record(&who.login, "template.create", &head.id, &head.label).await?;
        Ok(WholeTemplate { head, version })
    }

    /// Makes a new version. `expected`: the version that the caller had seen; another one in between is `Stale`.
    pub async fn save(
        &self,
        who: &Principal,
        id: &TemplateId,
        spec: Value,
        expected: Option<u32>,
    ) -> Result<WholeTemplate, AppError> {
        who.require_admin()?;
        let present = self.get(who, id).await?;
        let resources = self.resources_of(&present.version).await?;
        self.save_version(who, present, spec, resources, expected).await
    }

    async fn save_version(
        &self,
        who: &Principal,
        present: WholeTemplate,
        spec: Value,
        resources: Resources,
        expected: Option<u32>,
    ) -> Result<WholeTemplate, AppError> {
        if let Some(expected) = expected.filter(|expected| *expected != present.head.version) {
            let why = format!(
                "version {expected} was edited, but the newest is {}",
                present.head.version
            );
            return Err(AppError::Stale { why });
        }
        let (label, allowed_groups) = rules::check(&spec, &resources)?;
        let kept = self.keep(&resources).await?;
        if spec == present.version.spec && kept == present.version.resources {
            return Ok(present);
        }
        let now = self.clock.now();
        let number = present.head.version + 1;
        let head =
            Template { label, allowed_groups, version: number, updated_at: now, ..present.head };
        let version = TemplateVersion {
            template: head.id.clone(),
            version: number,
            spec,
            resources: kept,
            saved_by: who.login.clone(),
            saved_at: now,
        };
        self.store.save_template(&head, &version).await?;
        self.audit
            .record(&who.login, "template.save", &head.id, &format!("version {number}"))
            .await?;
        Ok(WholeTemplate { head, version })
    }

    /// Creates the template, or saves a further version of the one with the same label.
    pub async fn apply(&self, who: &Principal, spec: Value) -> Result<WholeTemplate, AppError> {
        who.require_admin()?;
        let label = spec.get("label").and_then(Value::as_str).unwrap_or_default();
        let known =
            self.store.templates().await?.into_iter().find(|template| template.label == label);
        match known {
            Some(template) => self.save(who, &template.id, spec, None).await,
            None => self.create(who, spec).await,
        }
    }

    pub async fn delete(&self, who: &Principal, id: &TemplateId) -> Result<(), AppError> {
        who.require_admin()?;
        let studios = self.store.studios(None).await?;
        let used = studios.iter().filter(|studio| studio.template == *id).count();
        if used > 0 {
            return Err(AppError::conflict(format!(
                "{used} studios are made from this template: delete them first"
            )));
        }
        if !self.store.delete_template(id).await? {
            return Err(AppError::not_found("template", id));
        }
        self.audit.record(&who.login, "template.delete", id, "").await
    }

    /// Paths and sizes of the newest version's resources.
    pub async fn resources(
        &self,
        who: &Principal,
        id: &TemplateId,
    ) -> Result<Vec<(String, usize)>, AppError> {
        let whole = self.get(who, id).await?;
        let resources = self.resources_of(&whole.version).await?;
        Ok(resources.into_iter().map(|(path, bytes)| (path, bytes.len())).collect())
    }

    pub async fn resource(
        &self,
        who: &Principal,
        id: &TemplateId,
        path: &str,
    ) -> Result<Arc<[u8]>, AppError> {
        let whole = self.get(who, id).await?;
        let mut resources = self.resources_of(&whole.version).await?;
        resources.remove(path).ok_or_else(|| AppError::not_found("resource", path))
    }

    /// Puts a resource in place (`None`: takes it away), as a new version.
    pub async fn put_resource(
        &self,
        who: &Principal,
        id: &TemplateId,
        path: &str,
        content: Option<Vec<u8>>,
    ) -> Result<WholeTemplate, AppError> {
        who.require_admin()?;
        rules::check_resource_path(path)?;
        let present = self.get(who, id).await?;
        let mut resources = self.resources_of(&present.version).await?;
        match content {
            Some(bytes) if bytes.len() > RESOURCE_LIMIT_BYTES => {
                return Err(AppError::TooLarge { why: "a resource has at most 16 MiB".into() });
            }
            Some(bytes) => {
                resources.insert(path.to_owned(), bytes.into());
            }
            None => {
                resources.remove(path).ok_or_else(|| AppError::not_found("resource", path))?;
            }
        }
        if resources.len() > RESOURCES_LIMIT {
            return Err(AppError::TooLarge {
                why: format!("a template has at most {RESOURCES_LIMIT} resources"),
            });
        }
        let spec = present.version.spec.clone();
        self.save_version(who, present, spec, resources, None).await
    }

    /// The newest version with its resources, as a zip file.
    pub async fn export(&self, who: &Principal, id: &TemplateId) -> Result<Vec<u8>, AppError> {
        let whole = self.get(who, id).await?;
        let resources = self.resources_of(&whole.version).await?;
        let spec = whole.version.spec;
        let packed = tokio::task::spawn_blocking(move || archive::pack(&spec, &resources)).await;
        packed
            .map_err(|error| AppError::internal("packing the template", error))?
            .map_err(|error| AppError::internal("packing the template", error))
    }

    /// A zip file as `export` makes it, from whomever: nothing in it is believed.
    pub async fn import(&self, who: &Principal, zip: Vec<u8>) -> Result<WholeTemplate, AppError> {
        who.require_admin()?;
        let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&zip)).await;
        let (spec, resources) = unpacked
            .map_err(|error| AppError::internal("unpacking the template", error))?
            .map_err(|error| AppError::invalid("zip", error.to_string()))?;
        self.insert(who, spec, resources).await
    }

    /// Content of a version's resources.
    pub async fn resources_of(&self, version: &TemplateVersion) -> Result<Resources, AppError> {
        let mut resources = Resources::new();
        for (path, digest) in &version.resources {
            let bytes = self
                .store
                .blob(digest)
                .await?
                .ok_or_else(|| AppError::not_found("resource", path))?;
            resources.insert(path.clone(), bytes.into());
        }
        Ok(resources)
    }

    async fn keep(&self, resources: &Resources) -> Result<BTreeMap<String, String>, AppError> {
        let mut kept = BTreeMap::new();
        for (path, bytes) in resources {
            let digest = data_encoding::HEXLOWER.encode(&token::digest(bytes));
            self.store.put_blob(&digest, bytes).await?;
            kept.insert(path.clone(), digest);
        }
        Ok(kept)
    }
}

fn may_use(who: &Principal, template: &Template) -> bool {
    let granted = |group: &GroupName| who.groups.contains(group);
    who.admin || template.allowed_groups.is_empty() || template.allowed_groups.iter().any(granted)
}
