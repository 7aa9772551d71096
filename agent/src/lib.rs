//! The agent: process 1 of every studio's container.
//!
//! It launches and supervises entrypoints, runs commands, shells and actions, answers for files and ports, synchronises,
//! and ends everything in order. It dials the control plane and serves it on that connection; nothing of it listens in the
//! network.
//!
//! ```text
//!  connection ──▶ services ──▶ sessions  actions  supervise  launch  drain ──▶ events
//!  local socket ─────┘             └────────┴────────┴── sys (the only unsafe; the only waitpid)
//! ```
//!
//! Invariants: what runs never notices whether the control plane is there; memory is bounded whatever control plane or
//! children send; every process is started and reaped in one place ([`sys::Reaper`]); tasks run on one thread, blocking work
//! on a few more.

mod actions;
mod agent;
pub mod cli;
mod clock;
pub mod config;
mod connection;
mod drain;
mod env;
mod events;
mod ids;
mod launch;
mod local;
mod mounts;
mod output;
mod run;
mod services;
mod sessions;
mod supervise;
mod sync_wanted;
#[expect(unsafe_code, reason = "the system edge; each use says why it is sound")]
mod sys;

pub use run::{RunError, run};
