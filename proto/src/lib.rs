//! Everything two processes must agree on.
//!
//! * [`agent::v1`]: gRPC services that an agent serves to the control plane.
//! * [`sync::v1`]: messages of the synchronisation engine, carried by `agent::v1::Sync`.
//!
//! The modules under `gen/` are generated from the `.proto` files beside this crate's `src` and committed, so that a
//! build needs no protocol compiler. `cargo test -p proto` fails when they differ from what the files would generate;
//! `UPDATE_PROTO=1 cargo test -p proto` writes them anew. Rules of compatibility: `COMPATIBILITY.md`.

/// The newest `agent/v1` protocol revision that this build speaks. Raised when a peer must know whether it may use a
/// new call; see `COMPATIBILITY.md`.
pub const PROTOCOL: u32 = 1;

/// The oldest revision that this build still speaks.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Largest encoded message that either side accepts.
pub const MESSAGE_LIMIT_BYTES: usize = 4 << 20;

/// Most bytes of payload in one streamed frame.
pub const FRAME_BYTES: usize = 64 << 10;

#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction, unreachable_pub, reason = "generated code")]
#[path = "gen"]
pub mod agent {
    #[path = "atelier.agent.v1.rs"]
    pub mod v1;
}

#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction, unreachable_pub, reason = "generated code")]
#[path = "gen"]
pub mod sync {
    #[path = "atelier.sync.v1.rs"]
    pub mod v1;
}
