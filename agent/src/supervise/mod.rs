//! Entrypoints: launched, watched, restarted by policy, probed, ended in order.
//!
//! One task owns each entrypoint ([`runner`]); the [`Supervisor`] only holds handles. States go out as events.

mod backoff;
mod http;
mod outcome;
mod probe;
mod runner;
mod state;
mod supervisor;

pub(crate) use supervisor::Supervisor;
