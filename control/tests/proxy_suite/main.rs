//! The proxy over real sockets: what goes in on one side and comes out on the other.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

mod access;
mod bodies;
mod browser;
mod hostile;
mod http2;
mod listener;
mod nginx;
mod over_app;
mod pages;
mod pooling;
mod requests;
mod shared;
mod smuggling;
mod support;
mod websocket;
