//! Failures that people reported for other synchronisation tools, each as a test that has the report's number in its name:
//! whoever knows the report finds what happens here instead.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod children;
mod conflicts;
mod cves;
mod escapes;
mod fresh;
mod mass;
mod power;
mod stamps;
mod stop;
mod work;
