//! Agents' credentials. Only hashes are kept.

use async_trait::async_trait;

use super::Result;
use crate::domain::ids::StudioId;

/// What the agent of a studio's newest incarnation may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCredential {
    pub studio: StudioId,
    pub epoch: u64,
    /// SHA-256 of the bootstrap token; `None` once it was exchanged.
    pub bootstrap_hash: Option<Vec<u8>>,
    /// Of the token whose session key was given and not yet shown: the answer may have been lost on its way, with this program.
    pub unconfirmed_hash: Option<Vec<u8>>,
    /// SHA-256 of the session key, with what it is bound to.
    pub session_hash: Option<Vec<u8>>,
    pub pod_uid: String,
    pub boot_id: String,
}

#[async_trait]
pub trait AgentCredentials: Send + Sync {
    /// Replaces whatever the studio had: older incarnations are locked out.
    async fn put_agent_credential(&self, credential: &AgentCredential) -> Result<()>;
    async fn agent_credential(&self, studio: &StudioId) -> Result<Option<AgentCredential>>;
    /// Exchanges the bootstrap token for a session key, if it is still there, or if the same process of the same pod did so and
    /// never showed its key; `false`: somebody was first.
    async fn exchange_agent_credential(
        &self,
        exchanged: &AgentCredential,
        bootstrap_hash: &[u8],
    ) -> Result<bool>;
    /// The session's key was shown: its token is worth nothing any more.
    async fn confirm_agent_session(&self, studio: &StudioId) -> Result<()>;
    /// Keeps a session of the pod that the incarnation has, or of its first; `false`: it has another pod, or is over.
    async fn open_agent_session(&self, session: &AgentCredential) -> Result<bool>;
    async fn delete_agent_credential(&self, studio: &StudioId) -> Result<()>;
}
