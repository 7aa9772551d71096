//! The control plane: API, web UI, proxy, image assembly, runtimes, zones.
//!
//! `api`, `agents`, `proxy` and `reconcile` call `app`; `app` speaks `domain`; drivers (`runtime`, `builder`, `store`,
//! `auth`, `zones`) implement traits in domain terms and are named only in `wiring`. A test enforces this.

pub mod agents;
pub mod api;
pub mod app;
pub mod auth;
pub mod builder;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod http_client;
pub mod instance;
pub mod process_identity;
pub mod proxy;
pub mod public_address;
pub mod reconcile;
pub mod runtime;
pub mod sample;
pub mod server;
pub mod spawn;
pub mod store;
pub mod wiring;
pub mod zones;
