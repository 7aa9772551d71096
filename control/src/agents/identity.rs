//! Who an agent is: the bootstrap token or what the runtime gave its pod, its exchange for a session key, and which incarnation
//! counts.
//!
//! The store holds hashes only. A session key's hash covers what it is bound to (studio, pod, process, incarnation), so that
//! it opens nothing for anybody else. It survives restarts of the control plane: agents come back without new tokens.

use std::sync::{Arc, OnceLock};

use proto::agent::v1::{HelloReply, Refusal};

use crate::{
    app::AppError,
    auth::token,
    domain::ids::StudioId,
    runtime::{Attested, Runtime, RuntimeError},
    store::{AgentCredential, Store},
};

/// Longest credential that is looked at.
const LONGEST_CREDENTIAL: usize = 16 << 10;

/// An answer to an agent's hello.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted { studio: StudioId, session_key: String },
    Refused { reason: Refusal, message: String },
}

pub(super) struct Identity {
    store: Arc<dyn Store>,
    token_secret: [u8; 32],
    /// Says whose pod shows what it gave it.
    runtime: OnceLock<Arc<dyn Runtime>>,
}

impl Identity {
    pub(super) fn new(store: Arc<dyn Store>, token_secret: [u8; 32]) -> Self {
        Self { store, token_secret, runtime: OnceLock::new() }
    }

    pub(super) fn trust(&self, runtime: Arc<dyn Runtime>) {
        if self.runtime.set(runtime).is_err() {
            tracing::error!("a runtime is trusted already, and stays the one");
        }
    }

    /// A token for an incarnation. Older ones are locked out; the session of the same one goes on. The token of an incarnation is
    /// always the same: its agent may run already, launched by a program that was killed before it could say so.
    pub(super) async fn issue(&self, studio: &StudioId, epoch: u64) -> Result<String, AppError> {
        let same = self.same(studio, epoch).await?;
        let token = token::derived(&self.token_secret, studio.as_str(), epoch);
        let credential = AgentCredential {
            studio: studio.clone(),
            epoch,
            bootstrap_hash: Some(token::hash(&token)),
            unconfirmed_hash: None,
            session_hash: same.as_ref().and_then(|same| same.session_hash.clone()),
            pod_uid: same.as_ref().map(|same| same.pod_uid.clone()).unwrap_or_default(),
            boot_id: same.map(|same| same.boot_id).unwrap_or_default(),
        };
        self.store.put_agent_credential(&credential).await?;
        Ok(token)
    }

    /// A pod of an incarnation is let in by the runtime's word. Older ones are locked out; the session of the same one goes on.
    pub(super) async fn expect_pod(&self, studio: &StudioId, epoch: u64) -> Result<(), AppError> {
        let same = self.same(studio, epoch).await?;
        let credential = AgentCredential {
            studio: studio.clone(),
            epoch,
            bootstrap_hash: None,
            unconfirmed_hash: None,
            session_hash: same.and_then(|same| same.session_hash),
            // Another pod may be made for an incarnation that has not begun.
            pod_uid: String::new(),
            boot_id: String::new(),
        };
        Ok(self.store.put_agent_credential(&credential).await?)
    }

    /// What is known of this incarnation, if it is the newest.
    async fn same(
        &self,
        studio: &StudioId,
        epoch: u64,
    ) -> Result<Option<AgentCredential>, AppError> {
        let before = self.store.agent_credential(studio).await?;
        if before.as_ref().is_some_and(|before| before.epoch > epoch) {
            return Err(AppError::conflict("a newer incarnation of the studio exists already"));
        }
        Ok(before.filter(|before| before.epoch == epoch))
    }

    pub(super) async fn forget(&self, studio: &StudioId) -> Result<(), AppError> {
        Ok(self.store.delete_agent_credential(studio).await?)
    }

    pub(super) async fn judge(&self, hello: &HelloReply) -> Result<Verdict, AppError> {
        let refused =
            |reason, message: &str| Ok(Verdict::Refused { reason, message: message.to_owned() });
        let wrong = || refused(Refusal::Credential, "the credential is wrong or has expired");
        let Ok(studio) = hello.studio_id.parse::<StudioId>() else {
            return wrong();
        };
        if hello.credential.len() > LONGEST_CREDENTIAL
            || hello.pod_uid.len() > 256
            || hello.boot_id.len() > 256
        {
            return wrong();
        }
        let Some(known) = self.store.agent_credential(&studio).await? else {
            return wrong();
        };
        if hello.epoch < known.epoch {
            return refused(Refusal::Superseded, "a newer incarnation has taken the studio over");
        }
        if hello.epoch > known.epoch {
            return wrong();
        }
        let bound = bound_hash(&hello.credential, &studio, hello);
        if known.session_hash.as_ref().is_some_and(|hash| token::equal(hash, &bound)) {
            if known.unconfirmed_hash.is_some() {
                self.store.confirm_agent_session(&studio).await?;
            }
            return Ok(Verdict::Accepted { studio, session_key: hello.credential.clone() });
        }
        let shown = token::hash(&hello.credential);
        // Shown again where the answer to the first time was lost, perhaps with the program that gave it.
        let tokens = [&known.bootstrap_hash, &known.unconfirmed_hash];
        if tokens.into_iter().flatten().any(|hash| token::equal(hash, &shown)) {
            return self.exchange(studio, hello, shown).await;
        }
        self.attested(studio, hello).await
    }

    /// By the runtime's word. A pod that takes the place of one which was here is not the studio.
    async fn attested(&self, studio: StudioId, hello: &HelloReply) -> Result<Verdict, AppError> {
        let refused =
            |reason, message: &str| Ok(Verdict::Refused { reason, message: message.to_owned() });
        let wrong = || refused(Refusal::Credential, "the credential is wrong or has expired");
        // Nobody is asked about what is no token of a cluster: a JSON Web Token has three parts.
        let asked = match self.runtime.get() {
            Some(runtime) if hello.credential.split('.').count() == 3 => {
                runtime.attest(&hello.credential).await
            }
            Some(_) | None => return wrong(),
        };
        let claimed =
            Attested { studio: studio.clone(), epoch: hello.epoch, pod_uid: hello.pod_uid.clone() };
        match asked {
            Ok(Some(pod)) if pod == claimed => (),
            Ok(Some(_) | None) => return wrong(),
            Err(error @ RuntimeError::Refused { .. }) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an agent's token can't be checked"
                );
                return wrong();
            }
            Err(error @ RuntimeError::Unavailable { .. }) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an agent's token can't be checked now"
                );
                return refused(Refusal::Busy, "the cluster does not say whose token it is now");
            }
        }
        let session_key = token::random();
        let session = AgentCredential {
            studio: studio.clone(),
            epoch: hello.epoch,
            bootstrap_hash: None,
            unconfirmed_hash: None,
            session_hash: Some(bound_hash(&session_key, &studio, hello)),
            pod_uid: hello.pod_uid.clone(),
            boot_id: hello.boot_id.clone(),
        };
        if !self.store.open_agent_session(&session).await? {
            return refused(Refusal::Credential, "another pod of this incarnation is the studio");
        }
        Ok(Verdict::Accepted { studio, session_key })
    }

    async fn exchange(
        &self,
        studio: StudioId,
        hello: &HelloReply,
        bootstrap_hash: Vec<u8>,
    ) -> Result<Verdict, AppError> {
        let session_key = token::random();
        let exchanged = AgentCredential {
            studio: studio.clone(),
            epoch: hello.epoch,
            bootstrap_hash: None,
            unconfirmed_hash: Some(bootstrap_hash.clone()),
            session_hash: Some(bound_hash(&session_key, &studio, hello)),
            pod_uid: hello.pod_uid.clone(),
            boot_id: hello.boot_id.clone(),
        };
        if !self.store.exchange_agent_credential(&exchanged, &bootstrap_hash).await? {
            let message = "the token was used by somebody else".to_owned();
            return Ok(Verdict::Refused { reason: Refusal::Credential, message });
        }
        Ok(Verdict::Accepted { studio, session_key })
    }
}

/// Hash of a session key with what it is bound to; every part is preceded by its length.
fn bound_hash(key: &str, studio: &StudioId, hello: &HelloReply) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [key, studio.as_str(), &hello.pod_uid, &hello.boot_id] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(&hello.epoch.to_be_bytes());
    token::digest(&bytes)
}
