//! One request to an application and its answer back, streamed both ways.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{ACCEPT, EXPECT},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{
    Proxy,
    access::Principal,
    activity::{Open, PortActivity},
    body::{ProxyBody, RequestBody, UpstreamBody},
    dial::DialError,
    expect::ExpectGate,
    headers::{self, Towards},
    pool::{Key, Lease, SendError},
    rewrite::Back,
    routes::{PortRoute, StudioRoute},
    upgrade::{self, Wish},
    via::Via,
    waiting::{Answer, PROXY_ANSWER},
};

/// A request that may go on, and how.
pub(super) struct Plan {
    pub(super) route: Arc<StudioRoute>,
    pub(super) port: u16,
    pub(super) target: PathAndQuery,
    /// As the browser wrote it.
    pub(super) host: HeaderValue,
    pub(super) via: Via,
    pub(super) back: Back,
    pub(super) principal: Principal,
    /// `Authorization` carried a key of ours.
    pub(super) key_shown: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the application closed the connection without an answer")]
    NoAnswer(#[source] hyper::Error),
    #[error("the request's body broke off")]
    BrokenBody(#[source] hyper::Error),
    #[error("the application switched protocols without being asked")]
    WildUpgrade,
}

impl Plan {
    fn port_route(&self) -> &PortRoute {
        self.route.ports.get(&self.port).expect("a plan is made for a port of its route")
    }

    fn key(&self) -> Key {
        let (studio, port) = (self.route.id.clone(), self.port);
        Key { studio, port, upstream: self.port_route().upstream }
    }
}

/// What is needed to send a request a second time.
struct Replay {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Replay {
    fn request(self, activity: Arc<PortActivity>) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::new(None, None, activity));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Proxy {
    /// Sends a request to its application and makes the answer fit for the client. Never fails: what goes wrong is an answer too.
    pub(super) async fn forward(
        &self,
        request: Request<Incoming>,
        plan: Plan,
    ) -> Response<ProxyBody> {
        let accept: HeaderMap =
            request.headers().get_all(ACCEPT).iter().map(|v| (ACCEPT, v.clone())).collect();
        match self.try_forward(request, &plan).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(studio = %plan.route.id, port = plan.port, error = &error as &dyn std::error::Error, "not forwarded");
                self.explain(&error, &plan).response(&accept)
            }
        }
    }

    async fn try_forward(
        &self,
        mut request: Request<Incoming>,
        plan: &Plan,
    ) -> Result<Response<ProxyBody>, ForwardError> {
        let activity = self.activity().port(&plan.route.id, plan.port);
        let open = activity.request();
        let wish = upgrade::is_wanted(&request).then(|| Wish::take(&mut request)).flatten();
        let expects = request.version() == Version::HTTP_11
            && request.headers().contains_key(EXPECT)
            && !request.body().is_end_stream();
        let gate = (expects && wish.is_none()).then(Arc::<ExpectGate>::default);
        let request = outgoing(request, plan, wish.as_ref(), gate.clone(), activity.clone());
        if let Some(wish) = wish {
            return self.upgrade(request, wish, plan, activity, open).await;
        }
        let (response, lease) = self.send(request, plan, &activity).await?;
        if let Some(gate) = &gate {
            gate.answered();
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ForwardError::WildUpgrade);
        }
        let (answer, body) = incoming(response, plan);
        let body = UpstreamBody::new(body, Some(lease), gate, activity, open);
        Ok(answer.map(|()| ProxyBody::upstream(body)))
    }

    /// Sends on a kept connection if there is one. A connection that turns out to be closed costs nothing: what was not sent is sent on
    /// a new one, and so is what was sent, once, where repeating it does no harm.
    async fn send(
        &self,
        mut request: Request<RequestBody>,
        plan: &Plan,
        activity: &Arc<PortActivity>,
    ) -> Result<(Response<Incoming>, Lease), ForwardError> {
        let mut kept = self.pool().kept(&plan.key());
        loop {
            let mut lease = match kept.take() {
                Some(lease) => lease,
                None => self.pool().fresh(plan.key(), activity).await?,
            };
            let replay = replay(&request, &lease);
            match lease.send(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(SendError::Unsent(unsent)) if lease.used => request = *unsent,
                Err(SendError::Unsent(_)) => return Err(DialError::NobodyListens.into()),
                Err(SendError::Broken(error)) if error.is_user() => {
                    return Err(ForwardError::BrokenBody(error));
                }
                Err(SendError::Broken(error)) => match replay {
                    Some(replay) => request = replay.request(activity.clone()),
                    None => return Err(ForwardError::NoAnswer(error)),
                },
            }
        }
    }

    async fn upgrade(
        &self,
        request: Request<RequestBody>,
        wish: Wish,
        plan: &Plan,
        activity: Arc<PortActivity>,
        open: Open,
    ) -> Result<Response<ProxyBody>, ForwardError> {
        let mut lease = self.pool().fresh(plan.key(), &activity).await?;
        lease.keep = false;
        let mut response = lease.send(request).await.map_err(|error| match error {
            SendError::Broken(error) => ForwardError::NoAnswer(error),
            SendError::Unsent(_) => DialError::NobodyListens.into(),
        })?;
        if !wish.is_granted(&response) {
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(ForwardError::WildUpgrade);
            }
            let (answer, body) = incoming(response, plan);
            let body = UpstreamBody::new(body, Some(lease), None, activity, open);
            return Ok(answer.map(|()| ProxyBody::upstream(body)));
        }
        let application = hyper::upgrade::on(&mut response);
        let (mut answer, _) = incoming(response, plan);
        let mut status = answer.status();
        wish.confirm(&mut status, answer.headers_mut());
        *answer.status_mut() = status;
        let admission =
            self.clone().while_admitted(plan.route.clone(), plan.port, plan.principal.clone());
        let tunnel = activity.tunnel();
        self.tracker().spawn(async move {
            let _tunnel = tunnel;
            // The lease holds the application's connection for as long as the tunnel lives.
            let _lease = lease;
            tokio::select! {
                () = wish.join(application, activity) => {}
                () = admission => tracing::debug!("an upgraded connection was ended: its user may not use it any more"),
            }
        });
        Ok(answer.map(|()| ProxyBody::empty()))
    }

    fn explain(&self, error: &ForwardError, plan: &Plan) -> Answer {
        match error {
            ForwardError::Dial(DialError::NobodyListens) => self.not_listening(plan),
            ForwardError::Dial(DialError::TimedOut) => Answer::new(
                StatusCode::GATEWAY_TIMEOUT,
                "unreachable",
                "The studio does not answer",
                "No connection to the studio came about in time.",
            ),
            ForwardError::Dial(DialError::TooMany) => Answer::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-connections",
                "Too many connections",
                format!(
                    "Port {} of this studio has as many connections as it may have.",
                    plan.port
                ),
            )
            .passing(),
            ForwardError::Dial(DialError::Unreachable(_)) => Answer::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unreachable",
                "The studio can't be reached",
                "The connection to the studio is lost for the moment.",
            )
            .passing(),
            ForwardError::BrokenBody(_) => Answer::new(
                StatusCode::BAD_REQUEST,
                "broken-body",
                "Broken request",
                "The request's body broke off or was malformed.",
            ),
            ForwardError::NoAnswer(_) | ForwardError::WildUpgrade => Answer::new(
                StatusCode::BAD_GATEWAY,
                "bad-gateway",
                "The application gave no answer",
                format!(
                    "The application on port {} answered with nothing that can be passed on.",
                    plan.port
                ),
            ),
        }
    }
}

/// The request as the application gets it.
fn outgoing(
    request: Request<Incoming>,
    plan: &Plan,
    wish: Option<&Wish>,
    gate: Option<Arc<ExpectGate>>,
    activity: Arc<PortActivity>,
) -> Request<RequestBody> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let towards = Towards {
        via: plan.via,
        host: &plan.host,
        prefix: &plan.back.prefix,
        secret: plan.port_route().secret.as_ref(),
        key_shown: plan.key_shown,
    };
    headers::for_upstream(&mut headers, &towards);
    if gate.is_none() {
        headers.remove(EXPECT);
    }
    let body = (wish.is_none() && !body.is_end_stream()).then_some(body);
    let mut request = Request::new(RequestBody::new(body, gate.clone(), activity));
    *request.method_mut() = parts.method;
    if let Some(wish) = wish {
        *request.method_mut() = Method::GET;
        wish.ask(&mut headers);
    }
    *request.uri_mut() = Uri::from(plan.target.clone());
    *request.headers_mut() = headers;
    if let Some(gate) = gate {
        hyper::ext::on_informational(&mut request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                gate.go_on();
            }
        });
    }
    request
}

/// The answer as the client gets it, with the application's body beside it.
fn incoming(response: Response<Incoming>, plan: &Plan) -> (Response<()>, Incoming) {
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(());
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    plan.back.apply(answer.headers_mut());
    // Only the proxy itself may say that an answer is its own.
    answer.headers_mut().remove(PROXY_ANSWER);
    (answer, body)
}

/// What is needed to send `request` again, if it may be: on a connection that may be closing, without a body, and safe by its method.
fn replay(request: &Request<RequestBody>, lease: &Lease) -> Option<Replay> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    (lease.used && safe && request.body().is_end_stream()).then(|| Replay {
        method: request.method().clone(),
        uri: request.uri().clone(),
        headers: request.headers().clone(),
    })
}
