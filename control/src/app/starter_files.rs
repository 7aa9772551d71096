//! What a template puts into a new studio's zones.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use images::{
    compose::{CompileContext, compile},
    launch::StarterSource,
};

use super::{AppError, studios::StarterFiles, templates::TemplateService};
use crate::{
    domain::{
        studio::Studio,
        zone::{ZoneKind, ZoneRef},
        zone_files::{Author, ZonePath},
    },
    store::Store,
    zones::{NewContent, ZoneError, Zones},
};

/// Copies starter files into zones.
pub struct ZoneStarterFiles {
    store: Arc<dyn Store>,
    templates: Arc<TemplateService>,
    zones: Arc<dyn Zones>,
}

impl ZoneStarterFiles {
    pub fn new(
        store: Arc<dyn Store>,
        templates: Arc<TemplateService>,
        zones: Arc<dyn Zones>,
    ) -> Self {
        Self { store, templates, zones }
    }

    async fn author(&self, studio: &Studio) -> Result<Author, AppError> {
        let user = self.store.user(&studio.owner).await?;
        let (name, email) = user.map_or_else(
            || (studio.owner.to_string(), String::new()),
            |user| (user.name, user.email),
        );
        Ok(Author { name, email, studio: Some(studio.id.clone()) })
    }
}

#[async_trait]
impl StarterFiles for ZoneStarterFiles {
    async fn copy(&self, studio: &Studio) -> Result<(), AppError> {
        let head = self.store.template(&studio.template).await?;
        let head = head.ok_or_else(|| AppError::not_found("template", &studio.template))?;
        let version = self.templates.version(&head.id, head.version).await?;
        let resources = self.templates.resources_of(&version).await?;
        // Which machine it would be built on makes no difference to the files.
        let context =
            CompileContext { base: String::new(), platform: String::new(), build_env: [].into() };
        let compiled = images::template::parse(&version.spec)
            .and_then(|spec| compile(&spec, &resources, &context));
        let compiled = compiled
            .map_err(|_| AppError::conflict("the template is not valid any more: save it again"))?;
        let author = self.author(studio).await?;
        for file in compiled.launch.starter_files {
            let kind: ZoneKind = file.zone.parse()?;
            let zone = ZoneRef::of_studio(kind, &studio.project, &studio.id, &studio.owner);
            let path = ZonePath::try_from(file.path.as_bytes())?;
            let bytes = match file.source {
                StarterSource::Text(text) => text.into_bytes(),
                StarterSource::Resource(path) => {
                    let found = resources
                        .get(&path)
                        .ok_or_else(|| AppError::not_found("resource", &path))?;
                    found.to_vec()
                }
            };
            let content = NewContent {
                bytes: stream::once(async move { Ok(bytes.into()) }).boxed(),
                executable: None,
                if_match: None,
                only_new: true,
            };
            match self.zones.write(&zone, &path, content, &author).await {
                // What its user has is never replaced.
                Ok(_) | Err(ZoneError::Exists { .. }) => (),
                Err(error) => return Err(AppError::internal("copying the starter files", error)),
            }
        }
        Ok(())
    }
}
