use async_trait::async_trait;
use sqlx::{query, sqlite::SqliteRow};

use super::{
    Sqlite,
    row::{
        at, at_option, exists, get, json, ms, name_of, named, number, parsed, parsed_option,
        signed, to_json,
    },
};
use crate::{
    domain::{
        ids::{BuildId, ProjectKey, StudioId, TaskId},
        launch::Mount,
        mounts::{MountSettings, MountStatistics},
        studio::{DesiredState, Studio, StudioState},
        sync::FinalSync,
    },
    store::{DeclaredMounts, Result, StoreError, Studios, SyncLedger},
};

fn studio(row: &SqliteRow) -> Result<Studio> {
    let template_version =
        get::<Option<i64>>(row, "template_version")?.map(u32::try_from).transpose();
    Ok(Studio {
        id: parsed(row, "id")?,
        project: parsed(row, "project")?,
        name: get(row, "name")?,
        owner: parsed(row, "owner")?,
        template: parsed(row, "template")?,
        template_version: template_version.map_err(|why| StoreError::Corrupt {
            what: "template_version",
            why: why.to_string(),
        })?,
        build: parsed_option(row, "build")?,
        desired: named(row, "desired")?,
        state: named(row, "state")?,
        epoch: number(row, "epoch")?,
        task: parsed_option(row, "task")?,
        failure: get(row, "failure")?,
        created_at: at(row, "created_at")?,
        started_at: at_option(row, "started_at")?,
    })
}

#[async_trait]
impl Studios for Sqlite {
    async fn create_studio(&self, studio: &Studio) -> Result<()> {
        query(
            "INSERT INTO studios (id, project, name, owner, template, desired, state, epoch, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(studio.id.as_str())
        .bind(studio.project.as_str())
        .bind(&studio.name)
        .bind(studio.owner.as_str())
        .bind(studio.template.as_str())
        .bind(name_of(&studio.desired))
        .bind(name_of(&studio.state))
        .bind(signed(studio.epoch))
        .bind(ms(studio.created_at))
        .execute(&self.write)
        .await
        .map_err(exists("studio", &studio.name))?;
        Ok(())
    }

    async fn rename_studio(&self, studio: &Studio) -> Result<bool> {
        let done = query("UPDATE studios SET name = ?, owner = ? WHERE id = ?")
            .bind(&studio.name)
            .bind(studio.owner.as_str())
            .bind(studio.id.as_str())
            .execute(&self.write)
            .await
            .map_err(exists("studio", &studio.name))?;
        Ok(done.rows_affected() == 1)
    }

    async fn set_desired(
        &self,
        id: &StudioId,
        desired: DesiredState,
        task: &TaskId,
    ) -> Result<bool> {
        let done = query("UPDATE studios SET desired = ?, task = ? WHERE id = ?")
            .bind(name_of(&desired))
            .bind(task.as_str())
            .bind(id.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn drop_wish(&self, id: &StudioId, task: Option<&TaskId>) -> Result<bool> {
        let done = query("UPDATE studios SET desired = ? WHERE id = ? AND task IS ?")
            .bind(name_of(&DesiredState::Stopped))
            .bind(id.as_str())
            .bind(task.map(TaskId::as_str))
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn set_actual(&self, studio: &Studio) -> Result<bool> {
        let done = query(
            "UPDATE studios SET state = ?, epoch = ?, build = ?, template_version = ?, failure = ?, started_at = ? \
             WHERE id = ?",
        )
        .bind(name_of(&studio.state))
        .bind(signed(studio.epoch))
        .bind(studio.build.as_ref().map(BuildId::as_str))
        .bind(studio.template_version)
        .bind(&studio.failure)
        .bind(studio.started_at.map(ms))
        .bind(studio.id.as_str())
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_studio(&self, id: &StudioId) -> Result<bool> {
        let done = query("DELETE FROM studios WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn studio(&self, id: &StudioId) -> Result<Option<Studio>> {
        let row = query("SELECT * FROM studios WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(studio).transpose()
    }

    async fn studios(&self, project: Option<&ProjectKey>) -> Result<Vec<Studio>> {
        query("SELECT * FROM studios WHERE ?1 IS NULL OR project = ?1 ORDER BY name, id")
            .bind(project.map(ProjectKey::as_str))
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(studio)
            .collect()
    }

    async fn studios_in(&self, states: &[StudioState]) -> Result<Vec<Studio>> {
        let all = self.studios(None).await?;
        Ok(all.into_iter().filter(|studio| states.contains(&studio.state)).collect())
    }
}

#[async_trait]
impl SyncLedger for Sqlite {
    async fn put_mounts(&self, studio: &StudioId, epoch: u64, mounts: &[Mount]) -> Result<()> {
        query(
            "INSERT INTO studio_mounts (studio, epoch, mounts) VALUES (?, ?, ?) \
             ON CONFLICT (studio) DO UPDATE SET mounts = excluded.mounts, epoch = excluded.epoch, \
             final = CASE WHEN epoch = excluded.epoch THEN final END",
        )
        .bind(studio.as_str())
        .bind(signed(epoch))
        .bind(to_json(&mounts))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn mounts(&self, studio: &StudioId) -> Result<Option<DeclaredMounts>> {
        let row = query("SELECT epoch, mounts, final FROM studio_mounts WHERE studio = ?")
            .bind(studio.as_str())
            .fetch_optional(&self.read)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let last = match get::<Option<String>>(&row, "final")? {
            Some(_) => Some(json(&row, "final")?),
            None => None,
        };
        Ok(Some(DeclaredMounts {
            epoch: number(&row, "epoch")?,
            mounts: json(&row, "mounts")?,
            last,
        }))
    }

    async fn put_final_sync(&self, studio: &StudioId, epoch: u64, last: &FinalSync) -> Result<()> {
        query("UPDATE studio_mounts SET final = ? WHERE studio = ? AND epoch = ?")
            .bind(to_json(last))
            .bind(studio.as_str())
            .bind(signed(epoch))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn mount_settings(&self, studio: &StudioId) -> Result<Vec<(String, MountSettings)>> {
        query("SELECT mount, live, merge FROM mount_settings WHERE studio = ? ORDER BY mount")
            .bind(studio.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| {
                let settings = MountSettings { live: get(row, "live")?, merge: get(row, "merge")? };
                Ok((get(row, "mount")?, settings))
            })
            .collect()
    }

    async fn put_mount_settings(
        &self,
        studio: &StudioId,
        mount: &str,
        settings: MountSettings,
    ) -> Result<()> {
        query(
            "INSERT INTO mount_settings (studio, mount, live, merge) VALUES (?, ?, ?, ?) \
             ON CONFLICT (studio, mount) DO UPDATE SET live = excluded.live, merge = excluded.merge",
        )
        .bind(studio.as_str())
        .bind(mount)
        .bind(settings.live)
        .bind(settings.merge)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn mount_statistics(&self, studio: &StudioId) -> Result<Vec<(String, MountStatistics)>> {
        query("SELECT mount, statistics FROM mount_statistics WHERE studio = ? ORDER BY mount")
            .bind(studio.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| Ok((get(row, "mount")?, json(row, "statistics")?)))
            .collect()
    }

    async fn put_mount_statistics(
        &self,
        studio: &StudioId,
        mount: &str,
        statistics: &MountStatistics,
    ) -> Result<()> {
        query(
            "INSERT INTO mount_statistics (studio, mount, statistics) SELECT id, ?, ? FROM studios WHERE id = ? \
             ON CONFLICT (studio, mount) DO UPDATE SET statistics = excluded.statistics",
        )
        .bind(mount)
        .bind(to_json(statistics))
        .bind(studio.as_str())
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn put_open_issues(
        &self,
        studio: &StudioId,
        mount: &str,
        open: &serde_json::Value,
    ) -> Result<()> {
        query(
            "INSERT INTO open_issues (studio, mount, open) VALUES (?, ?, ?) \
             ON CONFLICT (studio, mount) DO UPDATE SET open = excluded.open",
        )
        .bind(studio.as_str())
        .bind(mount)
        .bind(to_json(open))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn open_issues(&self, studio: &StudioId) -> Result<Vec<(String, serde_json::Value)>> {
        query("SELECT mount, open FROM open_issues WHERE studio = ? ORDER BY mount")
            .bind(studio.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| Ok((get(row, "mount")?, json(row, "open")?)))
            .collect()
    }
}
