use async_trait::async_trait;
use sqlx::{Row as _, query, sqlite::SqliteRow};

use super::{
    Sqlite,
    row::{
        at, at_option, exists, get, json_option, ms, name_of, named, number, parsed, signed,
        to_json,
    },
};
use crate::{
    domain::{
        build::{Build, ImageRef},
        ids::{BuildId, TemplateId},
    },
    store::{BuildLogLine, Builds, Result},
};

fn build(row: &SqliteRow) -> Result<Build> {
    Ok(Build {
        id: parsed(row, "id")?,
        template: parsed(row, "template")?,
        template_version: number(row, "template_version")?,
        state: named(row, "state")?,
        image: json_option(row, "image")?,
        failure: get(row, "failure")?,
        no_cache: get(row, "no_cache")?,
        requested_by: parsed(row, "requested_by")?,
        created_at: at(row, "created_at")?,
        started_at: at_option(row, "started_at")?,
        ended_at: at_option(row, "ended_at")?,
    })
}

#[async_trait]
impl Builds for Sqlite {
    async fn create_build(&self, build: &Build) -> Result<()> {
        query(
            "INSERT INTO builds (id, template, template_version, state, no_cache, requested_by, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(build.id.as_str())
        .bind(build.template.as_str())
        .bind(build.template_version)
        .bind(name_of(&build.state))
        .bind(build.no_cache)
        .bind(build.requested_by.as_str())
        .bind(ms(build.created_at))
        .execute(&self.write)
        .await
        .map_err(exists("build", &build.id))?;
        Ok(())
    }

    async fn update_build(&self, build: &Build) -> Result<()> {
        query("UPDATE builds SET state = ?, image = ?, failure = ?, started_at = ?, ended_at = ? WHERE id = ?")
            .bind(name_of(&build.state))
            .bind(build.image.as_ref().map(to_json))
            .bind(&build.failure)
            .bind(build.started_at.map(ms))
            .bind(build.ended_at.map(ms))
            .bind(build.id.as_str())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Build>> {
        let row = query("SELECT * FROM builds WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(build).transpose()
    }

    async fn builds(&self, template: Option<&TemplateId>, limit: u32) -> Result<Vec<Build>> {
        query("SELECT * FROM builds WHERE ?1 IS NULL OR template = ?1 ORDER BY created_at DESC, id LIMIT ?2")
            .bind(template.map(TemplateId::as_str))
            .bind(limit)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(build)
            .collect()
    }

    async fn unfinished_builds(&self) -> Result<Vec<Build>> {
        query("SELECT * FROM builds WHERE state IN ('queued', 'running') ORDER BY created_at, id")
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(build)
            .collect()
    }

    async fn good_build(&self, template: &TemplateId) -> Result<Option<Build>> {
        let row = query(
            "SELECT * FROM builds WHERE template = ? AND state = 'succeeded' \
             ORDER BY template_version DESC, ended_at DESC LIMIT 1",
        )
        .bind(template.as_str())
        .fetch_optional(&self.read)
        .await?;
        row.as_ref().map(build).transpose()
    }

    async fn put_launch(&self, id: &BuildId, launch: &serde_json::Value) -> Result<()> {
        query("UPDATE builds SET launch = ? WHERE id = ?")
            .bind(to_json(launch))
            .bind(id.as_str())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn launch(&self, id: &BuildId) -> Result<Option<serde_json::Value>> {
        let row = query("SELECT launch FROM builds WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(|row| json_option(&row, "launch")).transpose()?.flatten())
    }

    async fn images_in_use(&self) -> Result<Vec<ImageRef>> {
        let rows = query(
            "SELECT DISTINCT image FROM builds WHERE image IS NOT NULL AND (id IN (SELECT build FROM studios) \
             OR id IN (SELECT id FROM builds AS b WHERE b.state = 'succeeded' AND NOT EXISTS (SELECT 1 FROM builds AS n \
             WHERE n.template = b.template AND n.state = 'succeeded' AND n.ended_at > b.ended_at)))",
        )
        .fetch_all(&self.read)
        .await?;
        let images =
            rows.iter().map(|row| json_option(row, "image")).collect::<Result<Vec<_>>>()?;
        Ok(images.into_iter().flatten().collect())
    }

    async fn append_build_log(&self, id: &BuildId, lines: &[BuildLogLine]) -> Result<u64> {
        let mut tx = self.write.begin().await?;
        let row = query("SELECT coalesce(max(seq), 0) AS seq FROM build_log WHERE build = ?")
            .bind(id.as_str())
            .fetch_one(&mut *tx)
            .await?;
        let mut seq: i64 = row.try_get("seq")?;
        for line in lines {
            seq += 1;
            query("INSERT INTO build_log (build, seq, at, node, stream, text) VALUES (?, ?, ?, ?, ?, ?)")
                .bind(id.as_str())
                .bind(seq)
                .bind(ms(line.at))
                .bind(&line.node)
                .bind(&line.stream)
                .bind(&line.text)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(seq.unsigned_abs())
    }

    async fn build_log(&self, id: &BuildId, after: u64, limit: u32) -> Result<Vec<BuildLogLine>> {
        query("SELECT * FROM build_log WHERE build = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(id.as_str())
            .bind(signed(after))
            .bind(limit)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| {
                Ok(BuildLogLine {
                    seq: number(row, "seq")?,
                    at: at(row, "at")?,
                    node: get(row, "node")?,
                    stream: get(row, "stream")?,
                    text: get(row, "text")?,
                })
            })
            .collect()
    }
}
