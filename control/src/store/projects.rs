//! Projects.

use async_trait::async_trait;

use super::Result;
use crate::domain::{ids::ProjectKey, project::Project};

#[async_trait]
pub trait Projects: Send + Sync {
    async fn create_project(&self, project: &Project) -> Result<()>;
    async fn update_project(&self, project: &Project) -> Result<bool>;
    async fn delete_project(&self, key: &ProjectKey) -> Result<bool>;
    async fn project(&self, key: &ProjectKey) -> Result<Option<Project>>;
    /// By key.
    async fn projects(&self) -> Result<Vec<Project>>;
}
