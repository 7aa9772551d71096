//! How a browser gets the cookie of an application's origin.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{REFERRER_POLICY, SET_COOKIE},
};

use super::{
    Proxy,
    access::Refusal,
    cookies::{AppCookie, COOKIE_SECONDS, OwnCookies, is_framed, sent},
    decide::{Decision, own_cookies},
    headers::encode_query,
    rewrite::Audience,
    seal::Purpose,
    ticket::{Grant, TicketRefusal, is_local_path, random_text},
    visit::Visit,
    waiting::Answer,
};
use crate::domain::ids::StudioId;

/// Main origin: asks for a ticket. Query: `studio`, `port`, `next`, `state`, and `shared` for the origin that all share.
pub const AUTHORIZE_PATH: &str = "/api/v1/apps/authorize";
/// Application origin: takes a ticket. Not in the application's name space.
pub(super) const LOGIN_PATH: &str = "/.atelier/login";

/// How long a browser may take to sign in.
const STATE_SECONDS: u32 = 3600;

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

pub(super) fn not_signed_in() -> Answer {
    let detail = "Open the studio's page in a browser and sign in, or send an API key.";
    Answer::new(StatusCode::UNAUTHORIZED, "not-signed-in", "Not signed in", detail)
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    Answer::new(StatusCode::FORBIDDEN, "forbidden", "No permission", refusal.missing.clone())
}

impl Proxy {
    /// Sends a browser that goes to a page to the main origin; everything else is told that it is not signed in.
    pub(super) fn sign_in(
        &self,
        visit: &Visit<'_>,
        own: &OwnCookies,
        id: &StudioId,
        port: u16,
    ) -> Decision {
        let mode = visit.headers.get(FETCH_MODE);
        if !visit.is_reading() || mode.is_some_and(|mode| mode.as_bytes() != b"navigate") {
            return visit.answer(not_signed_in());
        }
        let wanted = visit.path_and_query();
        let next = if is_local_path(&wanted) { wanted.as_str() } else { "/" };
        // A browser that is signing in on another tab keeps its state, so that both tabs arrive.
        let state = sent(visit.headers, &own.state()).filter(|state| is_state(state));
        let state = state.map_or_else(random_text, str::to_owned);
        let main = self.origins().main(visit.via.scheme, &visit.authority);
        let shared = if visit.via.role == super::Role::Shared { "&shared=1" } else { "" };
        let to = format!(
            "{main}{AUTHORIZE_PATH}?studio={id}&port={port}&state={state}{shared}&next={}",
            encode_query(next)
        );
        let embedded = own.secure() && is_framed(visit.headers);
        let cookie = own.set(&own.state(), &state, embedded, Some(STATE_SECONDS));
        quiet(visit.redirect(&to), Some(cookie))
    }

    /// Main origin: who has a session there and may open the port gets a ticket for it.
    pub(super) async fn authorize(&self, visit: &Visit<'_>) -> Decision {
        let asked = Query::read(visit.query.unwrap_or_default());
        let studio = asked.get("studio").and_then(|id| id.parse::<StudioId>().ok());
        let port = asked.get("port").and_then(|port| port.parse::<u16>().ok());
        let (Some(studio), Some(port), true) = (studio, port, visit.is_reading()) else {
            return visit.bad_request("bad-authorize", "Studio and port are missing or malformed.");
        };
        let next = asked.get("next").filter(|next| is_local_path(next)).unwrap_or("/");
        let Some(principal) = self.authorizer().session_from_main_cookie(visit.headers).await
        else {
            let back = encode_query(&visit.path_and_query());
            return quiet(
                visit.redirect(&format!("{}?next={back}", self.origins().login_path)),
                None,
            );
        };
        let Some(route) = self.routes().get(&studio) else {
            return visit.answer(Answer::new(
                StatusCode::NOT_FOUND,
                "unknown-studio",
                "No such studio",
                "There is no studio at this address. It may have been deleted.",
            ));
        };
        if let Err(refusal) = self.authorizer().may_open(&principal, &route, port).await {
            return visit.answer(refused(&refusal));
        }
        let shared = asked.get("shared").and_then(|_| self.origins().shared(&visit.authority));
        let origin = shared.unwrap_or_else(|| {
            self.origins().app(visit.via.scheme, &visit.authority, &studio, port)
        });
        let origin = origin.origin(visit.via.scheme);
        let Some(state) = asked.get("state").filter(|state| is_state(state)) else {
            // Nobody began there yet: begin.
            return quiet(visit.redirect(&format!("{origin}{next}")), None);
        };
        let (next, state) = (next.to_owned(), state.to_owned());
        let grant = Grant { principal, studio, port, origin: origin.clone(), next, state };
        let ticket = self.shared.tickets.issue(grant, self.now());
        quiet(visit.redirect(&format!("{origin}{LOGIN_PATH}?ticket={ticket}")), None)
    }

    /// Application origin: a ticket becomes the origin's cookie. `place` is `None` on the origin that all share.
    pub(super) fn login(&self, visit: &Visit<'_>, place: Option<(&StudioId, u16)>) -> Decision {
        let asked = Query::read(visit.query.unwrap_or_default());
        let text = asked.get("ticket").unwrap_or_default();
        let origin = visit.authority.origin(visit.via.scheme);
        // The state cookie's name tells applications apart where they share an origin, so the ticket has to be read first; redeeming
        // checks everything again.
        let audience = if place.is_some() { Audience::Own } else { Audience::Shared };
        let Some((studio, port)) = self.shared.tickets.names(text) else {
            return visit.answer(ticket_refused(TicketRefusal::Forged));
        };
        if place.is_some_and(|(id, p)| (id, p) != (&studio, port)) {
            return visit.answer(ticket_refused(TicketRefusal::OtherOrigin));
        }
        let own = own_cookies(visit, audience, &studio, port);
        let state = sent(visit.headers, &own.state());
        let ticket = match self.shared.tickets.redeem(text, &origin, state, self.now()) {
            Ok(ticket) => ticket,
            Err(refusal) => return visit.answer(ticket_refused(refusal)),
        };
        let embedded = own.secure() && is_framed(visit.headers);
        let expires = self.now().unix_timestamp() + COOKIE_SECONDS;
        let cookie = AppCookie { principal: ticket.principal, studio, port, embedded, expires };
        let value = self.shared.sealer.seal(Purpose::Cookie, &cookie);
        quiet(visit.redirect(&ticket.next), Some(own.set(&own.app(), &value, embedded, None)))
    }
}

fn ticket_refused(refusal: TicketRefusal) -> Answer {
    let detail = format!("Signing in did not work: {refusal}.");
    let answer = Answer::new(StatusCode::FORBIDDEN, "ticket", "Not signed in", detail);
    Answer { link: Some(("/".to_owned(), "Try again")), ..answer }
}

/// Whether a text can be a state of ours.
fn is_state(text: &str) -> bool {
    (16..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// An answer whose address must not travel on, with a cookie.
fn quiet(mut decision: Decision, cookie: Option<HeaderValue>) -> Decision {
    if let Decision::Answer(response) = &mut decision {
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
    }
    decision
}

/// A decoded query; the first of several values counts.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Self {
        let decode = |text: &str| -> String {
            let bytes = text.as_bytes();
            let mut out = Vec::with_capacity(bytes.len());
            let mut at = 0;
            while let Some(&byte) = bytes.get(at) {
                at += 1;
                match super::policy::escaped(bytes, at).filter(|_| byte == b'%') {
                    Some(byte) => {
                        out.push(byte);
                        at += 2;
                    }
                    None => out.push(byte),
                }
            }
            String::from_utf8_lossy(&out).into_owned()
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}
