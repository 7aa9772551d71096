//! The proxy's two questions, asked of the use cases: who may open a port, and how to reach it through an agent.

use std::{io, sync::Arc};

use async_trait::async_trait;
use http::HeaderMap;

use super::{
    access::{Authorizer, KeyVerdict, Principal, Refusal},
    cookies::sent,
    dial::{TunnelDialer, TunnelIo},
    routes::StudioRoute,
};
use crate::{
    app::{
        AppError,
        agent_calls::FileCalls,
        login::LoginService,
        studios::{StudioRight, StudioService},
    },
    domain::ids::StudioId,
};

/// Name of the main origin's session cookie. Begins as all our cookies do, so that no application sees or sets it.
pub const SESSION_COOKIE: &str = "atelier-session";

/// Sessions, keys and rights as the use cases know them.
pub struct AppAuthorizer {
    login: Arc<LoginService>,
    studios: Arc<StudioService>,
}

impl AppAuthorizer {
    pub fn new(login: Arc<LoginService>, studios: Arc<StudioService>) -> Self {
        Self { login, studios }
    }
}

/// Nobody gets in while the question can't be answered; the log says why.
fn noted(error: AppError) -> AppError {
    if let AppError::Internal { .. } = &error {
        tracing::warn!(error = &error as &dyn std::error::Error, "access could not be checked");
    }
    error
}

#[async_trait]
impl Authorizer for AppAuthorizer {
    async fn session_from_main_cookie(&self, headers: &HeaderMap) -> Option<Principal> {
        let session = sent(headers, SESSION_COOKIE)?;
        let known = self.login.by_session(session).await.map_err(noted).ok()?;
        let session = LoginService::reference_of_session(session);
        Some(Principal { user: known.login, session })
    }

    async fn session_holds(&self, principal: &Principal) -> bool {
        let known = self.login.by_reference(&principal.session).await.map_err(noted);
        known.is_ok_and(|known| known.login == principal.user)
    }

    async fn may_open(
        &self,
        who: &Principal,
        studio: &StudioRoute,
        _port: u16,
    ) -> Result<(), Refusal> {
        let refusal = |error| Refusal { missing: noted(error).to_string() };
        let known = self.login.by_reference(&who.session).await.map_err(refusal)?;
        self.studios.get(&known, &studio.id, StudioRight::Use).await.map_err(refusal)?;
        Ok(())
    }

    async fn api_key(&self, key: &str) -> KeyVerdict {
        let Some(session) = LoginService::reference_of_api_key(key) else {
            return KeyVerdict::NotOurs;
        };
        match self.login.by_api_key(key).await.map_err(noted) {
            Ok(known) => KeyVerdict::Valid(Principal { user: known.login, session }),
            Err(_) => KeyVerdict::Invalid,
        }
    }
}

/// Tunnels through studios' agents.
pub struct AgentTunnels(pub Arc<dyn FileCalls>);

#[async_trait]
impl TunnelDialer for AgentTunnels {
    async fn dial(&self, studio: &StudioId, port: u16) -> io::Result<Box<dyn TunnelIo>> {
        Ok(Box::new(self.0.tunnel(studio, port).await?))
    }
}
