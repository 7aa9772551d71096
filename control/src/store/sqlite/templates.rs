use async_trait::async_trait;
use sqlx::{Sqlite as Db, Transaction, query, sqlite::SqliteRow};

use super::{
    Sqlite,
    row::{at, exists, get, json, ms, number, parsed, to_json},
};
use crate::{
    domain::{
        ids::TemplateId,
        template::{Template, TemplateVersion},
    },
    store::{Result, StoreError, Templates},
};

fn template(row: &SqliteRow) -> Result<Template> {
    Ok(Template {
        id: parsed(row, "id")?,
        label: get(row, "label")?,
        version: number(row, "version")?,
        allowed_groups: json(row, "allowed_groups")?,
        updated_at: at(row, "updated_at")?,
    })
}

fn version(row: &SqliteRow) -> Result<TemplateVersion> {
    Ok(TemplateVersion {
        template: parsed(row, "template")?,
        version: number(row, "version")?,
        spec: json(row, "spec")?,
        resources: json(row, "resources")?,
        saved_by: parsed(row, "saved_by")?,
        saved_at: at(row, "saved_at")?,
    })
}

async fn insert_version(tx: &mut Transaction<'_, Db>, version: &TemplateVersion) -> Result<()> {
    query(
        "INSERT INTO template_versions (template, version, spec, resources, saved_by, saved_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(version.template.as_str())
    .bind(version.version)
    .bind(to_json(&version.spec))
    .bind(to_json(&version.resources))
    .bind(version.saved_by.as_str())
    .bind(ms(version.saved_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[async_trait]
impl Templates for Sqlite {
    async fn create_template(&self, head: &Template, version: &TemplateVersion) -> Result<()> {
        let mut tx = self.write.begin().await?;
        query("INSERT INTO templates (id, label, version, allowed_groups, updated_at) VALUES (?, ?, ?, ?, ?)")
            .bind(head.id.as_str())
            .bind(&head.label)
            .bind(head.version)
            .bind(to_json(&head.allowed_groups))
            .bind(ms(head.updated_at))
            .execute(&mut *tx)
            .await
            .map_err(exists("template", &head.label))?;
        insert_version(&mut tx, version).await?;
        Ok(tx.commit().await?)
    }

    async fn save_template(&self, head: &Template, version: &TemplateVersion) -> Result<()> {
        let mut tx = self.write.begin().await?;
        let done = query(
            "UPDATE templates SET label = ?, version = ?, allowed_groups = ?, updated_at = ? \
             WHERE id = ? AND version = ? - 1",
        )
        .bind(&head.label)
        .bind(head.version)
        .bind(to_json(&head.allowed_groups))
        .bind(ms(head.updated_at))
        .bind(head.id.as_str())
        .bind(head.version)
        .execute(&mut *tx)
        .await
        .map_err(exists("template", &head.label))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Stale { what: "template", id: head.id.to_string() });
        }
        insert_version(&mut tx, version).await?;
        Ok(tx.commit().await?)
    }

    async fn delete_template(&self, id: &TemplateId) -> Result<bool> {
        let done = query("DELETE FROM templates WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn template(&self, id: &TemplateId) -> Result<Option<Template>> {
        let row = query("SELECT * FROM templates WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(template).transpose()
    }

    async fn templates(&self) -> Result<Vec<Template>> {
        query("SELECT * FROM templates ORDER BY label")
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(template)
            .collect()
    }

    async fn template_version(
        &self,
        id: &TemplateId,
        number: u32,
    ) -> Result<Option<TemplateVersion>> {
        let row = query("SELECT * FROM template_versions WHERE template = ? AND version = ?")
            .bind(id.as_str())
            .bind(number)
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(version).transpose()
    }

    async fn template_versions(&self, id: &TemplateId) -> Result<Vec<TemplateVersion>> {
        query("SELECT * FROM template_versions WHERE template = ? ORDER BY version DESC")
            .bind(id.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(version)
            .collect()
    }

    async fn put_blob(&self, digest: &str, bytes: &[u8]) -> Result<()> {
        query("INSERT INTO blobs (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(digest)
            .bind(bytes)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>> {
        let row = query("SELECT bytes FROM blobs WHERE digest = ?")
            .bind(digest)
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| get(&row, "bytes")).transpose()
    }
}
