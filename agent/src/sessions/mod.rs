//! Commands and shells that live in the agent, not in a connection.
//!
//! Invariants: a request id names one session for as long as it is kept; Exit is known only after the output was read to
//! its end (or two seconds passed with the pipes held open); an ended session is kept for ten minutes or until
//! acknowledged; the number of sessions, and so the memory for their output, is bounded.

mod control;
mod registry;
mod run;
mod session;

pub(crate) use registry::{Sessions, StartError, Wanted};
pub(crate) use session::{Session, SessionId};
