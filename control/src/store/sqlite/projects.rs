use async_trait::async_trait;
use sqlx::{query, sqlite::SqliteRow};

use super::{
    Sqlite,
    row::{exists, get, json, parsed, to_json},
};
use crate::{
    domain::{ids::ProjectKey, project::Project},
    store::{Projects, Result},
};

fn project(row: &SqliteRow) -> Result<Project> {
    Ok(Project {
        key: parsed(row, "key")?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        permissions: json(row, "permissions")?,
    })
}

#[async_trait]
impl Projects for Sqlite {
    async fn create_project(&self, project: &Project) -> Result<()> {
        query("INSERT INTO projects (key, name, description, permissions) VALUES (?, ?, ?, ?)")
            .bind(project.key.as_str())
            .bind(&project.name)
            .bind(&project.description)
            .bind(to_json(&project.permissions))
            .execute(&self.write)
            .await
            .map_err(exists("project", &project.key))?;
        Ok(())
    }

    async fn update_project(&self, project: &Project) -> Result<bool> {
        let done =
            query("UPDATE projects SET name = ?, description = ?, permissions = ? WHERE key = ?")
                .bind(&project.name)
                .bind(&project.description)
                .bind(to_json(&project.permissions))
                .bind(project.key.as_str())
                .execute(&self.write)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_project(&self, key: &ProjectKey) -> Result<bool> {
        let done = query("DELETE FROM projects WHERE key = ?")
            .bind(key.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn project(&self, key: &ProjectKey) -> Result<Option<Project>> {
        let row = query("SELECT * FROM projects WHERE key = ?")
            .bind(key.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(project).transpose()
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        query("SELECT * FROM projects ORDER BY key")
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(project)
            .collect()
    }
}
