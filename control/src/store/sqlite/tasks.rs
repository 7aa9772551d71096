use async_trait::async_trait;
use sqlx::{query, sqlite::SqliteRow};
use time::OffsetDateTime;

use super::{
    Sqlite,
    row::{
        at, at_option, exists, get, json_option, ms, name_of, named, number, parsed, signed,
        to_json,
    },
};
use crate::{
    domain::{
        audit::AuditEntry,
        ids::{Login, TaskId},
        task::{StepStatus, Task, TaskEvent},
    },
    store::{Audit, Idempotency, IdempotentAnswer, Page, Result, Tasks},
};

fn task(row: &SqliteRow) -> Result<Task> {
    Ok(Task {
        id: parsed(row, "id")?,
        kind: named(row, "kind")?,
        subject: get(row, "subject")?,
        state: named(row, "state")?,
        result: json_option(row, "result")?,
        failure: get(row, "failure")?,
        requested_by: parsed(row, "requested_by")?,
        created_at: at(row, "created_at")?,
        ended_at: at_option(row, "ended_at")?,
    })
}

fn event(row: &SqliteRow) -> Result<TaskEvent> {
    Ok(TaskEvent {
        seq: number(row, "seq")?,
        at: at(row, "at")?,
        step: get(row, "step")?,
        status: named(row, "status")?,
        message: get(row, "message")?,
    })
}

#[async_trait]
impl Tasks for Sqlite {
    async fn create_task(&self, task: &Task) -> Result<()> {
        query("INSERT INTO tasks (id, kind, subject, state, requested_by, created_at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(task.id.as_str())
            .bind(name_of(&task.kind))
            .bind(&task.subject)
            .bind(name_of(&task.state))
            .bind(task.requested_by.as_str())
            .bind(ms(task.created_at))
            .execute(&self.write)
            .await
            .map_err(exists("task", &task.id))?;
        Ok(())
    }

    async fn end_task(&self, task: &Task) -> Result<bool> {
        let done = query(
            "UPDATE tasks SET state = ?, result = ?, failure = ?, ended_at = ? WHERE id = ? AND state = 'running'",
        )
        .bind(name_of(&task.state))
        .bind(task.result.as_ref().map(to_json))
        .bind(&task.failure)
        .bind(task.ended_at.map(ms))
        .bind(task.id.as_str())
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn task(&self, id: &TaskId) -> Result<Option<Task>> {
        let row = query("SELECT * FROM tasks WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(task).transpose()
    }

    async fn running_tasks(&self) -> Result<Vec<Task>> {
        query("SELECT * FROM tasks WHERE state = 'running' ORDER BY created_at, id")
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(task)
            .collect()
    }

    async fn append_event(
        &self,
        id: &TaskId,
        at: OffsetDateTime,
        step: &str,
        status: StepStatus,
        message: &str,
    ) -> Result<TaskEvent> {
        let row = query(
            "INSERT INTO task_events (task, seq, at, step, status, message) \
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5 FROM task_events WHERE task = ?1 RETURNING *",
        )
        .bind(id.as_str())
        .bind(ms(at))
        .bind(step)
        .bind(name_of(&status))
        .bind(message)
        .fetch_one(&self.write)
        .await?;
        event(&row)
    }

    async fn task_events(&self, id: &TaskId, after: u64, limit: u32) -> Result<Vec<TaskEvent>> {
        query("SELECT * FROM task_events WHERE task = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(id.as_str())
            .bind(signed(after))
            .bind(limit)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(event)
            .collect()
    }
}

#[async_trait]
impl Audit for Sqlite {
    async fn append_audit(&self, entry: &AuditEntry) -> Result<()> {
        query("INSERT INTO audit (at, login, action, subject, detail) VALUES (?, ?, ?, ?, ?)")
            .bind(ms(entry.at))
            .bind(entry.login.as_str())
            .bind(&entry.action)
            .bind(&entry.subject)
            .bind(&entry.detail)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn audit(&self, page: &Page) -> Result<Vec<(u64, AuditEntry)>> {
        let before =
            page.after.as_deref().and_then(|cursor| cursor.parse::<i64>().ok()).unwrap_or(i64::MAX);
        query("SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?")
            .bind(before)
            .bind(page.limit)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| {
                let entry = AuditEntry {
                    at: at(row, "at")?,
                    login: parsed(row, "login")?,
                    action: get(row, "action")?,
                    subject: get(row, "subject")?,
                    detail: get(row, "detail")?,
                };
                Ok((number(row, "seq")?, entry))
            })
            .collect()
    }
}

#[async_trait]
impl Idempotency for Sqlite {
    async fn answer(&self, login: &Login, key: &str) -> Result<Option<IdempotentAnswer>> {
        let row = query("SELECT * FROM idempotency WHERE login = ? AND key = ?")
            .bind(login.as_str())
            .bind(key)
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| {
            Ok(IdempotentAnswer {
                request_hash: get(&row, "request_hash")?,
                status: number(&row, "status")?,
                body: get(&row, "body")?,
            })
        })
        .transpose()
    }

    async fn put_answer(
        &self,
        login: &Login,
        key: &str,
        at: OffsetDateTime,
        answer: &IdempotentAnswer,
    ) -> Result<()> {
        query(
            "INSERT INTO idempotency (login, key, at, request_hash, status, body) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(login.as_str())
        .bind(key)
        .bind(ms(at))
        .bind(&answer.request_hash)
        .bind(answer.status)
        .bind(&answer.body)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn expire_answers(&self, before: OffsetDateTime) -> Result<()> {
        query("DELETE FROM idempotency WHERE at < ?").bind(ms(before)).execute(&self.write).await?;
        Ok(())
    }
}
