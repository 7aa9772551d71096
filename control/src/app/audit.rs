//! The audit log: who did what.

use std::sync::Arc;

use super::AppError;
use crate::{
    clock::SharedClock,
    domain::{audit::AuditEntry, ids::Login, permission::Principal},
    store::{Page, Store},
};

/// Writes and reads it. Cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<dyn Store>,
    clock: SharedClock,
}

impl AuditLog {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Keeps that `who` did `action` to `subject`.
    pub async fn record(
        &self,
        who: &Login,
        action: &str,
        subject: impl ToString,
        detail: &str,
    ) -> Result<(), AppError> {
        let entry = AuditEntry {
            at: self.clock.now(),
            login: who.clone(),
            action: action.to_owned(),
            subject: subject.to_string(),
            detail: detail.to_owned(),
        };
        Ok(self.store.append_audit(&entry).await?)
    }

    /// Newest first; for administrators.
    pub async fn list(
        &self,
        who: &Principal,
        page: &Page,
    ) -> Result<Vec<(u64, AuditEntry)>, AppError> {
        who.require_admin()?;
        Ok(self.store.audit(page).await?)
    }
}
