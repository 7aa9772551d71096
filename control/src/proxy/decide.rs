//! What is to be done with a request: hand it back, answer it, or send it on. Looks at the head alone.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Version, uri::PathAndQuery};
use hyper::body::Incoming;

use super::{
    Proxy,
    access::{Denied, KeyVerdict, Principal, offered_key},
    body::ProxyBody,
    cookies::{AppCookie, OwnCookies, sent},
    forward::Plan,
    headers::inject_query,
    nginx,
    origin::{AppPath, Host, app_prefix, is_app_path},
    policy::check_path,
    rewrite::{Audience, Back},
    routes::{RouteState, StudioRoute, Upstream},
    seal::Purpose,
    sign_in,
    via::{Role, Via},
    visit::Visit,
    waiting::Answer,
};
use crate::domain::{ids::StudioId, subpath::Subpath};

/// What is to be done.
pub(super) enum Decision {
    NotMine,
    Answer(Box<Response<ProxyBody>>),
    Forward(Box<Plan>),
}

/// An application's place in a request.
struct Place {
    route: Arc<StudioRoute>,
    port: u16,
    /// No slash at the end.
    prefix: String,
    audience: Audience,
    /// The path lies outside the prefix: the origin is the application's own, so all of it is.
    outside: bool,
}

/// Who came, and how they showed it.
struct Guest {
    principal: Principal,
    key_shown: bool,
    embedded: bool,
}

impl Proxy {
    pub(super) async fn decide(&self, request: &Request<Incoming>, via: Via) -> Decision {
        let visit = match Visit::read(request, via) {
            Ok(visit) => visit,
            Err(why) => {
                let answer = Answer::new(StatusCode::BAD_REQUEST, "bad-host", "Bad request", why);
                return Decision::Answer(Box::new(answer.response(request.headers())));
            }
        };
        match (via.role, self.origins().classify(&visit.authority)) {
            (_, Host::Unknown) => visit.answer(Answer::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                "Unknown host",
                "This server does not answer for that host name.",
            )),
            (Role::Main, Host::Main) => self.on_main(&visit, request.version()).await,
            (Role::Shared, Host::Main) => self.on_shared(&visit).await,
            (_, Host::App { id, port }) => self.on_app(&visit, &id, port).await,
            (_, Host::Alias(label)) => match self.routes().snapshot().by_label(&label) {
                None => visit.unknown_studio(),
                Some(route) => self.to_first_tool(&visit, route),
            },
        }
    }

    /// Main origin: an application's path leads to its own origin; with a key, a script gets its answer here.
    async fn on_main(&self, visit: &Visit<'_>, version: Version) -> Decision {
        if visit.path == sign_in::AUTHORIZE_PATH {
            return self.authorize(visit).await;
        }
        if !is_app_path(visit.path)
            || (*visit.method == Method::CONNECT && version != Version::HTTP_2)
        {
            return Decision::NotMine;
        }
        let (route, port, prefix) = match self.place(visit) {
            Ok(place) => place,
            Err(decision) => return decision,
        };
        let Some(port) = port else { return self.to_first_tool(visit, &route) };
        let place = Place { route, port, prefix, audience: Audience::Script, outside: false };
        match self.by_key(visit, &place).await {
            Err(decision) => decision,
            Ok(Some(guest)) if !visit.is_reading() && !visit.origin_is_ours() => {
                foreign(visit, &guest)
            }
            Ok(Some(guest)) => self.open(visit, place, guest),
            Ok(None) => {
                let origin = self.origins().shared(&visit.authority).unwrap_or_else(|| {
                    self.origins().app(visit.via.scheme, &visit.authority, &place.route.id, port)
                });
                let origin = origin.origin(visit.via.scheme);
                visit.redirect(&format!("{origin}{}", visit.path_and_query()))
            }
        }
    }

    /// The origin that all applications share.
    async fn on_shared(&self, visit: &Visit<'_>) -> Decision {
        if visit.path == sign_in::LOGIN_PATH {
            return self.login(visit, None);
        }
        if !is_app_path(visit.path) {
            let main = self.origins().main(visit.via.scheme, &visit.authority);
            return visit.redirect(&format!("{main}/"));
        }
        let (route, port, prefix) = match self.place(visit) {
            Ok(place) => place,
            Err(decision) => return decision,
        };
        let Some(port) = port.or(route.first_tool) else {
            return self.to_studio_page(visit, &route);
        };
        let place = Place { route, port, prefix, audience: Audience::Shared, outside: false };
        self.enter(visit, place).await
    }

    /// An application's own origin.
    async fn on_app(&self, visit: &Visit<'_>, id: &StudioId, port: u16) -> Decision {
        if visit.path == sign_in::LOGIN_PATH {
            return self.login(visit, Some((id, port)));
        }
        let Some(route) = self.routes().get(id) else { return visit.unknown_studio() };
        if let Err(refusal) = check_path(visit.path) {
            return visit.bad_request("bad-path", &refusal.to_string());
        }
        let mut place = Place {
            prefix: app_prefix(&route.project, id, port),
            route,
            port,
            audience: Audience::Own,
            outside: true,
        };
        if visit.path == "/" && visit.is_reading() {
            let query = visit.query.map_or_else(String::new, |query| format!("?{query}"));
            return visit.redirect(&format!("{}/{query}", place.prefix));
        }
        if is_app_path(visit.path) {
            let (other, other_port, prefix) = match self.place(visit) {
                Ok(found) => found,
                Err(decision) => return decision,
            };
            let Some(other_port) = other_port else { return self.to_first_tool(visit, &other) };
            if other.id != *id || other_port != port {
                let origin =
                    self.origins().app(visit.via.scheme, &visit.authority, &other.id, other_port);
                let origin = origin.origin(visit.via.scheme);
                return visit.redirect(&format!("{origin}{}", visit.path_and_query()));
            }
            place.prefix = prefix;
            place.outside = false;
        }
        self.enter(visit, place).await
    }

    /// The studio, port and prefix that an application's path names.
    fn place(
        &self,
        visit: &Visit<'_>,
    ) -> Result<(Arc<StudioRoute>, Option<u16>, String), Decision> {
        if let Err(refusal) = check_path(visit.path) {
            return Err(visit.bad_request("bad-path", &refusal.to_string()));
        }
        let path = AppPath::parse(visit.path).ok_or_else(|| visit.unknown_studio())?;
        let route = self.routes().get(&path.id).filter(|route| route.project == path.project);
        let route = route.ok_or_else(|| visit.unknown_studio())?;
        Ok((route, path.port, path.prefix(visit.path).to_owned()))
    }

    /// The questions that every request has to pass, HTTP and WebSocket alike.
    async fn enter(&self, visit: &Visit<'_>, place: Place) -> Decision {
        let guest = match self.by_key(visit, &place).await {
            Err(decision) => return decision,
            Ok(Some(guest)) => guest,
            Ok(None) => match self.by_cookie(visit, &place).await {
                Err(decision) => return decision,
                Ok(guest) => guest,
            },
        };
        if !visit.is_reading() && !visit.origin_is_ours() {
            return foreign(visit, &guest);
        }
        if !guest.key_shown && visit.is_foreign_subrequest() {
            return foreign(visit, &guest);
        }
        self.open(visit, place, guest)
    }

    /// Somebody who shows an API key. `None`: no key of ours.
    async fn by_key(&self, visit: &Visit<'_>, place: &Place) -> Result<Option<Guest>, Decision> {
        let Some(key) = offered_key(visit.headers) else { return Ok(None) };
        let principal = match self.authorizer().api_key(&key).await {
            KeyVerdict::NotOurs => return Ok(None),
            KeyVerdict::Invalid => {
                return Err(visit.answer(Answer::new(
                    StatusCode::UNAUTHORIZED,
                    "invalid-key",
                    "Not signed in",
                    "The API key is unknown, expired or revoked.",
                )));
            }
            KeyVerdict::Valid(principal) => principal,
        };
        self.admit(visit, place, &principal).await?;
        Ok(Some(Guest { principal, key_shown: true, embedded: false }))
    }

    /// Somebody with this origin's cookie; others are sent to sign in.
    async fn by_cookie(&self, visit: &Visit<'_>, place: &Place) -> Result<Guest, Decision> {
        let own = own_cookies(visit, place.audience, &place.route.id, place.port);
        let cookie = sent(visit.headers, &own.app())
            .and_then(|text| self.shared.sealer.open::<AppCookie>(Purpose::Cookie, text))
            .filter(|cookie| {
                cookie.studio == place.route.id
                    && cookie.port == place.port
                    && cookie.expires > self.now().unix_timestamp()
            });
        let Some(cookie) = cookie else {
            return Err(self.sign_in(visit, &own, &place.route.id, place.port));
        };
        self.admit(visit, place, &cookie.principal).await?;
        Ok(Guest { principal: cookie.principal, key_shown: false, embedded: cookie.embedded })
    }

    async fn admit(
        &self,
        visit: &Visit<'_>,
        place: &Place,
        principal: &Principal,
    ) -> Result<(), Decision> {
        let (route, port) = (&place.route, place.port);
        let verdicts = &self.shared.verdicts;
        match verdicts.admit(self.authorizer(), principal, route, port, self.now()).await {
            Ok(()) => Ok(()),
            Err(Denied::SessionGone) if place.audience == Audience::Script => {
                Err(visit.answer(sign_in::not_signed_in()))
            }
            Err(Denied::SessionGone) => {
                let own = own_cookies(visit, place.audience, &route.id, port);
                Err(self.sign_in(visit, &own, &route.id, port))
            }
            Err(Denied::Refused(refusal)) => Err(visit.answer(sign_in::refused(&refusal))),
        }
    }

    /// The door is passed: is somebody there?
    fn open(&self, visit: &Visit<'_>, place: Place, guest: Guest) -> Decision {
        if *visit.method == Method::TRACE || (*visit.method == Method::CONNECT && !visit.upgrade) {
            // TRACE would echo the studio's own secret.
            return visit.answer(Answer::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "Not allowed",
                "This method is not passed on.",
            ));
        }
        let Some(port) = place.route.ports.get(&place.port) else {
            return visit.answer(Answer::new(
                StatusCode::NOT_FOUND,
                "unknown-port",
                "No such port",
                format!("This studio has no port {}.", place.port),
            ));
        };
        let answer = match &place.route.state {
            RouteState::Running => None,
            RouteState::Starting { .. } if port.ready => None,
            RouteState::Starting { progress } => {
                Some(Answer { progress: progress.clone(), ..starting("The studio is starting.") })
            }
            RouteState::Stopping => {
                Some(halted("stopping", "The studio is stopping", String::new()))
            }
            RouteState::Stopped => Some(halted("stopped", "The studio is stopped", String::new())),
            RouteState::Failed { reason } => {
                Some(halted("failed", "The studio did not start", reason.clone()))
            }
        };
        if let Some(answer) = answer {
            return visit.answer(answer.linked(self.studio_page(visit, &place.route)));
        }
        // Nothing after the prefix, not even a slash: relative addresses would miss it. A server that knows its prefix decides for itself.
        if !place.outside
            && visit.path.len() == place.prefix.len()
            && matches!(port.subpath, Subpath::Replace(_))
        {
            let query = visit.query.map_or_else(String::new, |query| format!("?{query}"));
            return visit.redirect(&format!("{}/{query}", place.prefix));
        }
        match target(visit, &place) {
            Ok(target) => Decision::Forward(Box::new(self.plan(visit, place, guest, target))),
            Err(error) => visit.bad_request("bad-path", &error.to_string()),
        }
    }

    fn plan(&self, visit: &Visit<'_>, place: Place, guest: Guest, target: PathAndQuery) -> Plan {
        let port = place.route.ports.get(&place.port).expect("looked up before");
        let address = match port.upstream {
            Upstream::Direct(address) => Some(address),
            Upstream::Tunnel => None,
        };
        let back = Back {
            audience: place.audience,
            scheme: visit.via.scheme,
            authority: visit.authority.clone(),
            prefix: place.prefix,
            subpath: port.subpath.clone(),
            address,
            port: place.port,
            embedded: guest.embedded,
            origins: self.shared.origins.clone(),
        };
        Plan {
            port: place.port,
            route: place.route,
            target,
            host: visit.host.clone(),
            via: visit.via,
            back,
            principal: guest.principal,
            key_shown: guest.key_shown,
        }
    }

    /// Nobody listens on the port of a studio that runs.
    pub(super) fn not_listening(&self, plan: &Plan) -> Answer {
        let main = self.origins().main(plan.via.scheme, &plan.back.authority);
        let page = self.origins().studio_page(&main, &plan.route.project, &plan.route.id);
        let detail = format!("Nothing listens on port {} yet.", plan.port);
        let progress = match &plan.route.state {
            RouteState::Starting { progress } => progress.clone(),
            _ => Vec::new(),
        };
        Answer { progress, ..starting(detail) }.linked(page)
    }

    fn studio_page(&self, visit: &Visit<'_>, route: &StudioRoute) -> String {
        let main = self.origins().main(visit.via.scheme, &visit.authority);
        self.origins().studio_page(&main, &route.project, &route.id)
    }

    fn to_studio_page(&self, visit: &Visit<'_>, route: &StudioRoute) -> Decision {
        visit.redirect(&self.studio_page(visit, route))
    }

    fn to_first_tool(&self, visit: &Visit<'_>, route: &StudioRoute) -> Decision {
        let Some(port) = route.first_tool else { return self.to_studio_page(visit, route) };
        let origin = self.origins().app(visit.via.scheme, &visit.authority, &route.id, port);
        let prefix = app_prefix(&route.project, &route.id, port);
        visit.redirect(&format!("{}{prefix}/", origin.origin(visit.via.scheme)))
    }
}

/// Our cookies' names and attributes on the origin of a request.
pub(super) fn own_cookies(
    visit: &Visit<'_>,
    audience: Audience,
    id: &StudioId,
    port: u16,
) -> OwnCookies {
    match audience {
        Audience::Shared => OwnCookies::shared(visit.via.scheme, &visit.authority, id, port),
        Audience::Own | Audience::Script => OwnCookies::new(visit.via.scheme, &visit.authority),
    }
}

fn foreign(visit: &Visit<'_>, guest: &Guest) -> Decision {
    tracing::debug!(user = %guest.principal.user, path = visit.path, "a request came from a page of another origin");
    visit.answer(Answer::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "Refused",
        "The request comes from a page of another origin.",
    ))
}

fn starting(detail: impl Into<String>) -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "Getting ready", detail).passing()
}

fn halted(code: &'static str, title: &'static str, why: String) -> Answer {
    let detail =
        if why.is_empty() { "Start it on its page to go on working.".to_owned() } else { why };
    Answer::new(StatusCode::CONFLICT, code, title, detail)
}

/// The request target for the application.
fn target(visit: &Visit<'_>, place: &Place) -> Result<PathAndQuery, nginx::BadPath> {
    let port = place.route.ports.get(&place.port).expect("looked up before");
    let secret = port.secret.as_ref().and_then(|secret| secret.query.as_ref());
    if let (Subpath::RequestUri, None, Some(raw)) = (&port.subpath, secret, visit.target) {
        return Ok(raw.clone());
    }
    let injected = secret.map(|secret| inject_query(visit.query, secret));
    let query = injected.as_deref().or(visit.query);
    let prefix = if place.outside { "/".to_owned() } else { format!("{}/", place.prefix) };
    let target = nginx::target(visit.path, query, &prefix, &port.subpath)?;
    PathAndQuery::try_from(target.as_ref()).map_err(|_| nginx::BadPath::Escape)
}
