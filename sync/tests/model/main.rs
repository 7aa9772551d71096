//! Random users on both sides, and everything that can go wrong between: afterwards nothing that anybody left is lost.
//!
//! * [`act`]: what users do, and what happens to runs, disks, messages, clocks and memories.
//! * [`user`]: users' deeds.
//! * [`world`]: carries acts out, and checks after each what must hold.
//! * [`mutations`]: engines that are broken on purpose, to see that the checks notice.
//!
//! 10,000 cases by default, which take two minutes of two cores; `ATELIER_LONG=1` makes it 50,000.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod act;
mod mutations;
mod user;
mod world;

use proptest::{prelude::*, test_runner::TestRunner};

/// Two halves, which run beside each other.
fn cases() -> u32 {
    if common::is_long() { 25_000 } else { 5_000 }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn acts() -> impl Strategy<Value = Vec<act::Act>> {
    prop::collection::vec(act::act(), 1..40)
}

fn check(cases: u32) {
    TestRunner::new(config(cases))
        .run(&acts(), |acts| {
            world::World::new(None).live(&acts);
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_is_lost_and_both_sides_become_one() {
    check(cases());
}

#[test]
fn nothing_is_lost_and_both_sides_become_one_again() {
    check(cases());
}
