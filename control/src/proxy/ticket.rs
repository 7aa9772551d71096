//! Tickets: how a session of the main origin becomes a cookie of an application's origin.
//!
//! Application origin, no cookie → main origin (`/api/v1/apps/authorize`), which knows the session and asks whether its user may open
//! the port → back with a ticket that names user, session, studio, port, host and where to go on, is good for 30 seconds and for one use, and only
//! in the browser that began (its `state` cookie must be the ticket's) → that origin's cookie.

use std::{collections::HashMap, sync::Mutex};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    access::Principal,
    seal::{Purpose, Sealer},
};
use crate::domain::ids::StudioId;

/// How long a ticket is good for.
pub const TICKET_SECONDS: i64 = 30;

/// Used tickets that are remembered at most; far above what 30 seconds bring, so that reaching it is an attack.
const MAX_USED: usize = 100_000;

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) principal: Principal,
    pub(super) studio: StudioId,
    pub(super) port: u16,
    /// Origin that it is good for.
    pub(super) origin: String,
    /// Path of that origin to go on to.
    pub(super) next: String,
    /// Value that the browser's state cookie must have.
    pub(super) state: String,
    /// Unix seconds.
    expires: i64,
    nonce: String,
}

/// What it is to be good for.
pub(super) struct Grant {
    pub(super) principal: Principal,
    pub(super) studio: StudioId,
    pub(super) port: u16,
    pub(super) origin: String,
    pub(super) next: String,
    pub(super) state: String,
}

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TicketRefusal {
    #[error("the ticket is not one of ours")]
    Forged,
    #[error("the ticket has expired")]
    Expired,
    #[error("the ticket was used before")]
    Used,
    #[error("the ticket is for another address")]
    OtherOrigin,
    #[error("the ticket belongs to another browser, or this one keeps no cookies")]
    OtherBrowser,
}

/// Issues tickets and takes each once.
pub(super) struct TicketOffice {
    sealer: Sealer,
    /// Nonce → when it expires.
    used: Mutex<HashMap<String, i64>>,
}

/// 128 random bits as text.
pub(super) fn random_text() -> String {
    BASE64URL_NOPAD.encode(&rand::random::<[u8; 16]>())
}

impl TicketOffice {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self { sealer, used: Mutex::default() }
    }

    pub(super) fn issue(&self, grant: Grant, now: OffsetDateTime) -> String {
        let Grant { principal, studio, port, origin, next, state } = grant;
        let expires = now.unix_timestamp() + TICKET_SECONDS;
        let nonce = random_text();
        let ticket = Ticket { principal, studio, port, origin, next, state, expires, nonce };
        self.sealer.seal(Purpose::Ticket, &ticket)
    }

    /// Studio and port of a ticket of ours, whether or not it is still good.
    pub(super) fn names(&self, text: &str) -> Option<(StudioId, u16)> {
        let ticket: Ticket = self.sealer.open(Purpose::Ticket, text)?;
        Some((ticket.studio, ticket.port))
    }

    /// Takes a ticket at `origin` from a browser whose state cookie is `state`. Good once.
    pub(super) fn redeem(
        &self,
        text: &str,
        origin: &str,
        state: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Ticket, TicketRefusal> {
        let now = now.unix_timestamp();
        let ticket: Ticket =
            self.sealer.open(Purpose::Ticket, text).ok_or(TicketRefusal::Forged)?;
        if ticket.expires <= now {
            return Err(TicketRefusal::Expired);
        }
        if ticket.origin != origin {
            return Err(TicketRefusal::OtherOrigin);
        }
        if state != Some(ticket.state.as_str()) {
            return Err(TicketRefusal::OtherBrowser);
        }
        let mut used = self.used.lock().expect("nothing panics while holding it");
        if used.len() >= MAX_USED {
            used.retain(|_, expires| *expires > now);
        }
        // A full book refuses: taking tickets without writing them down would take them twice.
        if used.len() >= MAX_USED || used.insert(ticket.nonce.clone(), ticket.expires).is_some() {
            return Err(TicketRefusal::Used);
        }
        Ok(ticket)
    }
}

/// Whether a text may be followed as a path of the same origin: no other host, no header splitting.
pub(super) fn is_local_path(next: &str) -> bool {
    next.len() <= 2048
        && next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const ORIGIN: &str = "http://8888--abcdefgh.localhost";

    fn issue(office: &TicketOffice, now: OffsetDateTime) -> String {
        let principal = Principal { user: "ann".parse().unwrap(), session: "s1".to_owned() };
        let studio = "abcdefgh".parse().unwrap();
        let (origin, next, state) = (ORIGIN.to_owned(), "/".to_owned(), "st".to_owned());
        office.issue(Grant { principal, studio, port: 8888, origin, next, state }, now)
    }

    #[test]
    fn good_once_here_now_and_for_this_browser() {
        let office = TicketOffice::new(Sealer::new(&[7; 32]));
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let text = issue(&office, now);
        let redeem = |at, state, later| office.redeem(&text, at, state, now + later);
        let soon = Duration::seconds(29);
        assert_eq!(redeem("http://x", Some("st"), soon), Err(TicketRefusal::OtherOrigin));
        assert_eq!(redeem(ORIGIN, Some("other"), soon), Err(TicketRefusal::OtherBrowser));
        assert_eq!(redeem(ORIGIN, None, soon), Err(TicketRefusal::OtherBrowser));
        assert_eq!(redeem(ORIGIN, Some("st"), Duration::seconds(30)), Err(TicketRefusal::Expired));
        assert_eq!(redeem(ORIGIN, Some("st"), soon).unwrap().port, 8888);
        assert_eq!(redeem(ORIGIN, Some("st"), soon), Err(TicketRefusal::Used));
        let other = TicketOffice::new(Sealer::new(&[8; 32]));
        assert_eq!(other.redeem(&text, ORIGIN, Some("st"), now), Err(TicketRefusal::Forged));
    }

    #[test]
    fn expired_nonces_are_forgotten_when_the_book_is_full() {
        let office = TicketOffice::new(Sealer::new(&[7; 32]));
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let old = now.unix_timestamp() - 1;
        office.used.lock().unwrap().extend((0..MAX_USED).map(|n| (n.to_string(), old)));
        let text = issue(&office, now);
        assert!(office.redeem(&text, ORIGIN, Some("st"), now).is_ok());
        assert_eq!(office.used.lock().unwrap().len(), 1);
    }

    #[test]
    fn where_to_go_on_stays_at_home() {
        for good in ["/", "/a?b=//c", "/code-studios/DEMO/abcdefgh/8888/"] {
            assert!(is_local_path(good), "{good}");
        }
        for bad in ["", "a", "//evil", "/\\evil", "http://x", "/a b", "/a\r\nSet-Cookie: x", "/é"]
        {
            assert!(!is_local_path(bad), "{bad}");
        }
    }
}
