//! Templates, their versions, and the content of their resources.

use async_trait::async_trait;

use super::Result;
use crate::domain::{
    ids::TemplateId,
    template::{Template, TemplateVersion},
};

#[async_trait]
pub trait Templates: Send + Sync {
    /// Keeps the first version.
    async fn create_template(&self, head: &Template, version: &TemplateVersion) -> Result<()>;
    /// Keeps a further version; `Stale` unless it is the one after the newest.
    async fn save_template(&self, head: &Template, version: &TemplateVersion) -> Result<()>;
    async fn delete_template(&self, id: &TemplateId) -> Result<bool>;
    async fn template(&self, id: &TemplateId) -> Result<Option<Template>>;
    /// By label.
    async fn templates(&self) -> Result<Vec<Template>>;
    async fn template_version(
        &self,
        id: &TemplateId,
        version: u32,
    ) -> Result<Option<TemplateVersion>>;
    /// Newest first.
    async fn template_versions(&self, id: &TemplateId) -> Result<Vec<TemplateVersion>>;

    /// Keeps content under its digest. Idempotent.
    async fn put_blob(&self, digest: &str, bytes: &[u8]) -> Result<()>;
    async fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>>;
}
