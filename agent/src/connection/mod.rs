//! The agent dials out over TLS, and then *serves* its gRPC services on that connection; the control plane calls.
//!
//! ```text
//! dial ─▶ TLS (ALPN h2) ─▶ serve ─▶ Hello ─▶ Admit(accepted) ─▶ calls …  lost ─▶ back-off ─▶ dial
//!                                          └▶ Admit(refused)  ─▶ by reason
//! ```
//! Invariants: nothing but Hello and Admit is answered before Admit accepted ([`Gate`]); some timer always leads to a new
//! attempt, but for an agent that was superseded; entrypoints never notice any of this.

mod backoff;
mod bulk;
mod control;
mod credential;
mod gate;
mod io;
mod serve;
mod tls;

pub(crate) use bulk::run as run_bulk;
pub(crate) use control::run as run_control;
pub(crate) use credential::Credential;
pub(crate) use gate::{Gate, Kind, Verdict};
pub(crate) use serve::serve_on;
pub(crate) use tls::{Dialer, TlsError};
