//! Nothing but Hello and Admit passes before the control plane has admitted the agent.
//!
//! Why refuse calls that the control plane makes itself? Because whoever accepted our connection is the control plane only by
//! its certificate, and has taken us only once it says so: a control plane that refuses us must not start anything here.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use proto::agent::v1::Refusal;
use tokio::sync::watch;
use tonic::Status;
use tower::{Layer, Service};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Control,
    Bulk,
    /// The socket inside the container: its file mode is its admission.
    Local,
}

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pending,
    Accepted,
    Refused { reason: Refusal, message: String, retry_after: Option<Duration> },
}

/// One per connection; services find it in the extensions of a request. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub kind: Kind,
    verdict: Arc<watch::Sender<Verdict>>,
}

const ALWAYS_OPEN: &[&str] =
    &["/atelier.agent.v1.Session/Hello", "/atelier.agent.v1.Session/Admit"];

impl Gate {
    pub(crate) fn new(kind: Kind) -> Self {
        let verdict = if kind == Kind::Local { Verdict::Accepted } else { Verdict::Pending };
        Self { kind, verdict: Arc::new(watch::Sender::new(verdict)) }
    }

    /// The first verdict counts. Whether this was it.
    pub(crate) fn decide(&self, verdict: Verdict) -> bool {
        self.verdict.send_if_modified(|now| {
            let first = *now == Verdict::Pending;
            if first {
                *now = verdict;
            }
            first
        })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict.borrow().clone()
    }

    /// Waits for the verdict. Cancel safe.
    pub(crate) async fn decided(&self) -> Verdict {
        let mut verdict = self.verdict.subscribe();
        match verdict.wait_for(|verdict| *verdict != Verdict::Pending).await {
            Ok(verdict) => verdict.clone(),
            Err(_) => Verdict::Pending,
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S, In, Out> Service<Request<In>> for Gated<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    Out: Default,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Out>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let open =
            self.gate.verdict() == Verdict::Accepted || ALWAYS_OPEN.contains(&request.uri().path());
        if open {
            request.extensions_mut().insert(self.gate.clone());
            Either::Left(self.inner.call(request))
        } else {
            let status =
                Status::permission_denied("the agent has not been admitted on this connection");
            Either::Right(ready(Ok(status.into_http())))
        }
    }
}
