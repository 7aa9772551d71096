//! Who did what.

use time::OffsetDateTime;

use super::ids::Login;

/// One line of the audit log; never changed, never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: OffsetDateTime,
    pub login: Login,
    /// Verb and object kind, such as `studio.start`.
    pub action: String,
    /// Id of what it was done to.
    pub subject: String,
    pub detail: String,
}
