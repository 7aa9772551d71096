use async_trait::async_trait;
use sqlx::query;

use super::{
    Sqlite,
    row::{get, number, parsed, signed},
};
use crate::{
    domain::ids::StudioId,
    store::{AgentCredential, AgentCredentials, Result},
};

#[async_trait]
impl AgentCredentials for Sqlite {
    async fn put_agent_credential(&self, credential: &AgentCredential) -> Result<()> {
        query(
            "INSERT INTO agent_credentials (studio, epoch, bootstrap_hash, unconfirmed_hash, session_hash, pod_uid, boot_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (studio) DO UPDATE SET epoch = excluded.epoch, \
             bootstrap_hash = excluded.bootstrap_hash, unconfirmed_hash = excluded.unconfirmed_hash, session_hash = excluded.session_hash, \
             pod_uid = excluded.pod_uid, boot_id = excluded.boot_id",
        )
        .bind(credential.studio.as_str())
        .bind(signed(credential.epoch))
        .bind(&credential.bootstrap_hash)
        .bind(&credential.unconfirmed_hash)
        .bind(&credential.session_hash)
        .bind(&credential.pod_uid)
        .bind(&credential.boot_id)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn agent_credential(&self, studio: &StudioId) -> Result<Option<AgentCredential>> {
        let row = query("SELECT * FROM agent_credentials WHERE studio = ?")
            .bind(studio.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| {
            Ok(AgentCredential {
                studio: parsed(&row, "studio")?,
                epoch: number(&row, "epoch")?,
                bootstrap_hash: get(&row, "bootstrap_hash")?,
                unconfirmed_hash: get(&row, "unconfirmed_hash")?,
                session_hash: get(&row, "session_hash")?,
                pod_uid: get(&row, "pod_uid")?,
                boot_id: get(&row, "boot_id")?,
            })
        })
        .transpose()
    }

    async fn exchange_agent_credential(
        &self,
        exchanged: &AgentCredential,
        bootstrap_hash: &[u8],
    ) -> Result<bool> {
        let done = query(
            "UPDATE agent_credentials SET bootstrap_hash = NULL, unconfirmed_hash = ?1, session_hash = ?2, pod_uid = ?3, \
             boot_id = ?4 WHERE studio = ?5 AND epoch = ?6 \
             AND (bootstrap_hash = ?1 OR (unconfirmed_hash = ?1 AND pod_uid = ?3 AND boot_id = ?4))",
        )
        .bind(bootstrap_hash)
        .bind(&exchanged.session_hash)
        .bind(&exchanged.pod_uid)
        .bind(&exchanged.boot_id)
        .bind(exchanged.studio.as_str())
        .bind(signed(exchanged.epoch))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn confirm_agent_session(&self, studio: &StudioId) -> Result<()> {
        query("UPDATE agent_credentials SET unconfirmed_hash = NULL WHERE studio = ?")
            .bind(studio.as_str())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn open_agent_session(&self, session: &AgentCredential) -> Result<bool> {
        let done = query(
            "UPDATE agent_credentials SET session_hash = ?, pod_uid = ?, boot_id = ? \
             WHERE studio = ? AND epoch = ? AND pod_uid IN ('', ?)",
        )
        .bind(&session.session_hash)
        .bind(&session.pod_uid)
        .bind(&session.boot_id)
        .bind(session.studio.as_str())
        .bind(signed(session.epoch))
        .bind(&session.pod_uid)
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_agent_credential(&self, studio: &StudioId) -> Result<()> {
        query("DELETE FROM agent_credentials WHERE studio = ?")
            .bind(studio.as_str())
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
