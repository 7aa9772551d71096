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

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

/// Two halves, which run beside each other.
fn cases() -> u32 {
    if common::is_long() { 25_000 } else { 5_000 }
}

/// The same histories in every run, so that what fails fails again; in full, others each time.
fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        rng_seed: if common::is_long() { RngSeed::Random } else { RngSeed::Fixed(seed) },
        ..ProptestConfig::default()
    }
}

fn acts() -> impl Strategy<Value = Vec<act::Act>> {
    prop::collection::vec(act::act(), 1..40)
}

fn check(cases: u32, seed: u64) {
    TestRunner::new(config(cases, seed))
        .run(&acts(), |acts| {
            world::World::new(None).live(&acts);
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_is_lost_and_both_sides_become_one() {
    check(cases(), 1);
}

#[test]
fn nothing_is_lost_and_both_sides_become_one_again() {
    check(cases(), 2);
}

/// A greeting that is falsified: the studio compares with nothing, and is told what was agreed before, of which it has nothing more.
#[test]
fn what_is_gone_is_told_after_a_run_that_agreed_on_it_again() {
    use act::{Act, Deed, Trouble};
    let write = |path| Act::User { studio: false, deed: Deed::Write { path, content: 0 } };
    world::World::new(None).live(&[
        write(0),
        write(1),
        Act::Resolve { choice: 0 },
        Act::User { studio: true, deed: Deed::Wipe },
        Act::Watch { on: true },
        Act::Sync { direction: 0, both: false },
        Act::Message { studio: false, number: 0, trouble: Trouble::Corrupt(22_124_925_990) },
    ]);
}
