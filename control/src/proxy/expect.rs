//! `Expect: 100-continue`, end to end: the client is told to go on when the application says so, not before.
//!
//! The server side answers `100 Continue` when the request's body is first asked for. So the body is not asked for until the application
//! has said 100, or a second has passed (applications that don't know the expectation simply wait for the body). If the
//! application gives its final answer first, the body stays unread, and both connections end after that answer.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering::SeqCst},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Sleep;

/// What clients wait, too, before they send the body unasked.
const PATIENCE: Duration = Duration::from_secs(1);

const SHUT: u8 = 0;
const OPEN: u8 = 1;
/// The final answer came first; the body is not wanted.
const ANSWERED: u8 = 2;
/// That answer has been passed on.
const OVER: u8 = 3;

/// Shared between a request's body and who sees its response.
#[derive(Debug, Default)]
pub(super) struct ExpectGate {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// Whether the body may be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// It will never be.
    Over,
}

impl ExpectGate {
    fn step(&self, from: u8, to: u8) {
        if self.state.compare_exchange(from, to, SeqCst, SeqCst).is_ok() {
            self.waker.wake();
        }
    }

    /// The application said 100.
    pub(super) fn go_on(&self) {
        self.step(SHUT, OPEN);
    }

    /// The application gave its final answer.
    pub(super) fn answered(&self) {
        self.step(SHUT, ANSWERED);
    }

    /// The final answer has been passed on, or given up.
    pub(super) fn over(&self) {
        self.step(ANSWERED, OVER);
    }

    /// Whether the connection to the application can carry another request.
    pub(super) fn body_was_wanted(&self) -> bool {
        self.state.load(SeqCst) == OPEN
    }

    /// Waits for permission. `patience` is made at the first call.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        patience: &mut Option<Pin<Box<Sleep>>>,
    ) -> Poll<Passage> {
        self.waker.register(cx.waker());
        let timer = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        if timer.as_mut().poll(cx).is_ready() {
            self.step(SHUT, OPEN);
        }
        match self.state.load(SeqCst) {
            OPEN => Poll::Ready(Passage::Open),
            OVER => Poll::Ready(Passage::Over),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use super::*;

    async fn passage(gate: Arc<ExpectGate>) -> Passage {
        let mut patience = None;
        poll_fn(|cx| gate.poll(cx, &mut patience)).await
    }

    #[tokio::test]
    async fn opens_by_word_or_by_patience() {
        let gate = Arc::new(ExpectGate::default());
        gate.go_on();
        assert_eq!(passage(gate).await, Passage::Open);
        let start = tokio::time::Instant::now();
        assert_eq!(passage(Arc::default()).await, Passage::Open);
        assert!(start.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn a_final_answer_keeps_it_shut_until_all_is_over() {
        let gate = Arc::new(ExpectGate::default());
        // Patience is at its end already, and a late 100 comes too.
        let mut patience = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
        gate.answered();
        gate.go_on();
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        assert_eq!(gate.poll(&mut cx, &mut patience), Poll::Pending);
        gate.over();
        assert_eq!(gate.poll(&mut cx, &mut patience), Poll::Ready(Passage::Over));
        assert!(!gate.body_was_wanted());
    }
}
