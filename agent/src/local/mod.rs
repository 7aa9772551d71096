//! The socket inside the container, for people who look at a studio from within.
//!
//! The same services as the control plane calls, on a unix socket of the state folder that only the studio's user (and root)
//! may open.

mod service;
mod socket;

pub(crate) use service::LocalService;
pub(crate) use socket::{connect, serve};
