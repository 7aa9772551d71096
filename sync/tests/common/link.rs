//! A link of two ends, which can be cut and on which messages get lost, doubled, swapped and falsified.
//!
//! Where both ends wait for each other and nothing is on its way, the link is gone, as a real one would be after its deadline:
//! so no test waits for a clock.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
};

use bytes::Bytes;
use sync::{Link, LinkError};

/// Messages on their way in one direction.
const ROOM: usize = 4;

/// What happens to messages on their way from one end; messages are counted from 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mishap {
    /// The link is gone after so many.
    pub cut_after: Option<u64>,
    /// A bit of this one is turned.
    pub corrupt: Option<(u64, usize)>,
    pub lose: Option<u64>,
    pub repeat: Option<u64>,
    /// This one comes behind the next.
    pub swap: Option<u64>,
}

#[derive(Default)]
struct Wires {
    /// By the end that they are for.
    waiting: [VecDeque<Bytes>; 2],
    /// The end waits for the other one.
    blocked: [bool; 2],
    closed: [bool; 2],
    stuck: bool,
}

pub struct TestLink {
    wires: Arc<(Mutex<Wires>, Condvar)>,
    me: usize,
    mishap: Mishap,
    sent: u64,
    cut: bool,
    held: Option<Bytes>,
}

pub fn links(server: Mishap, studio: Mishap) -> (TestLink, TestLink) {
    let wires = Arc::new((Mutex::new(Wires::default()), Condvar::new()));
    let link =
        |me, mishap| TestLink { wires: wires.clone(), me, mishap, sent: 0, cut: false, held: None };
    (link(0, server), link(1, studio))
}

impl TestLink {
    /// Waits until `ready` has something. `Gone` when that can't happen any more.
    fn wait<T>(&self, mut ready: impl FnMut(&mut Wires) -> Option<T>) -> Result<T, LinkError> {
        let (wires, changed) = &*self.wires;
        let mut wires = wires.lock().unwrap();
        loop {
            if let Some(done) = ready(&mut wires) {
                wires.blocked = [false; 2];
                changed.notify_all();
                return Ok(done);
            }
            wires.blocked[self.me] = true;
            let other = 1 - self.me;
            // Nothing has moved since either of them looked.
            if wires.blocked[other] {
                wires.stuck = true;
                changed.notify_all();
            }
            if wires.stuck || wires.closed[other] {
                return Err(LinkError::Gone);
            }
            wires = changed.wait(wires).unwrap();
        }
    }

    fn pass(&self, message: Bytes) -> Result<(), LinkError> {
        let other = 1 - self.me;
        let mut message = Some(message);
        self.wait(|wires| {
            let has_room = wires.waiting[other].len() < ROOM && !wires.closed[other];
            if has_room {
                wires.waiting[other].extend(message.take());
            }
            has_room.then_some(())
        })
    }
}

impl Link for TestLink {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        assert!(message.len() <= sync::MESSAGE_LIMIT_BYTES, "a message of {}", message.len());
        self.cut |= self.mishap.cut_after.is_some_and(|after| self.sent >= after);
        if self.cut {
            return Err(LinkError::Gone);
        }
        let number = self.sent;
        self.sent += 1;
        if self.mishap.lose == Some(number) {
            return Ok(());
        }
        if self.mishap.swap == Some(number) {
            self.held = Some(message);
            return Ok(());
        }
        let message = match self.mishap.corrupt {
            Some((corrupt, at)) if corrupt == number && !message.is_empty() => {
                let mut bytes = message.to_vec();
                let at = at % bytes.len();
                bytes[at] ^= 1 << (at % 8);
                Bytes::from(bytes)
            }
            _ => message,
        };
        if self.mishap.repeat == Some(number) {
            self.pass(message.clone())?;
        }
        self.pass(message)?;
        match self.held.take() {
            Some(held) => self.pass(held),
            None => Ok(()),
        }
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        if self.cut {
            return Err(LinkError::Gone);
        }
        if let Some(held) = self.held.take() {
            self.pass(held)?;
        }
        let (me, other) = (self.me, 1 - self.me);
        self.wait(|wires| match wires.waiting[me].pop_front() {
            Some(message) => Some(Some(message)),
            None => wires.closed[other].then_some(None),
        })
    }
}

impl Drop for TestLink {
    fn drop(&mut self) {
        let (wires, changed) = &*self.wires;
        if let Ok(mut wires) = wires.lock() {
            wires.closed[self.me] = true;
        }
        changed.notify_all();
    }
}
