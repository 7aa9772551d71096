//! Bodies on their way through: never collected, only counted.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::{
    activity::{Open, PortActivity},
    expect::{ExpectGate, Passage},
    pool::Lease,
};

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every answer that leaves the listener.
pub struct ProxyBody(Inner);

enum Inner {
    Full(Option<Bytes>),
    Upstream(UpstreamBody),
    Other(axum::body::Body),
}

impl ProxyBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Inner::Full(None))
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(Some(bytes.into())))
    }

    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self(Inner::Upstream(body))
    }
}

impl From<axum::body::Body> for ProxyBody {
    fn from(body: axum::body::Body) -> Self {
        Self(Inner::Other(body))
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Upstream(body) => body.poll_frame(cx),
            Inner::Other(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Inner::Upstream(body) => body.inner.is_end_stream(),
            Inner::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Inner::Upstream(body) => body.inner.size_hint(),
            Inner::Other(body) => body.size_hint(),
        }
    }
}

/// An application's answer; gives the connection back when it has been read to its end.
pub(super) struct UpstreamBody {
    inner: Incoming,
    lease: Option<Lease>,
    gate: Option<Arc<ExpectGate>>,
    activity: Arc<PortActivity>,
    _open: Open,
}

impl UpstreamBody {
    /// Without a `lease` the connection ends with the body.
    pub(super) fn new(
        inner: Incoming,
        lease: Option<Lease>,
        gate: Option<Arc<ExpectGate>>,
        activity: Arc<PortActivity>,
        open: Open,
    ) -> Self {
        let mut body = Self { inner, lease, gate, activity, _open: open };
        body.settle();
        body
    }

    /// A server may stop asking once it knows that nothing follows, so the end is looked for after every frame.
    fn settle(&mut self) {
        if self.inner.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let wanted = self.gate.take().is_none_or(|gate| {
            gate.over();
            gate.body_was_wanted()
        });
        if let Some(lease) = self.lease.take().filter(|_| wanted) {
            lease.give_back();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.activity.down(data.len());
                }
                self.settle();
            }
            Some(Err(_)) => self.lease = None,
            None => self.finish(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.over();
        }
    }
}

/// A client's body on its way to an application.
pub(super) struct RequestBody {
    inner: Option<Incoming>,
    gate: Option<Waiting>,
    activity: Arc<PortActivity>,
}

/// A gate, and how long it is waited at.
type Waiting = (Arc<ExpectGate>, Option<Pin<Box<Sleep>>>);

/// The application answered without wanting the body.
#[derive(Debug, thiserror::Error)]
#[error("the application did not ask for the request's body")]
struct BodyUnwanted;

impl RequestBody {
    pub(super) fn new(
        inner: Option<Incoming>,
        gate: Option<Arc<ExpectGate>>,
        activity: Arc<PortActivity>,
    ) -> Self {
        Self { inner, gate: gate.map(|gate| (gate, None)), activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some((gate, patience)) = &mut self.gate {
            match ready!(gate.poll(cx, patience)) {
                Passage::Open => self.gate = None,
                Passage::Over => return Poll::Ready(Some(Err(BodyUnwanted.into()))),
            }
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.activity.up(data.len());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
