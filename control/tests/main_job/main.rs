//! The real program with real agents, from the outside: what a user does over REST and the command line, and what happens when
//! things break in the middle of it. The template needs no network; the real IDEs are the browser suite's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test may fail anywhere, has patience of its own, shows the program's log, and names nothing for others"
)]

mod actions;
mod cli;
mod faults;
mod files;
mod instance;
mod live;
mod mounts;
mod storms;
