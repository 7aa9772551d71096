//! What peers, disks and people hand to the engine, falsified again and again.
//!
//! Targets: each end of a real run whose peer's messages are falsified on their way ([`lies`], by [`wire`] and [`moves`]); a side whose memory
//! is damaged ([`memory`]); and the decoders that stand by themselves ([`decoders`]). A case is a number: whatever fails once is
//! kept in `kept.txt` and runs first from then on.
//!
//! Some hundred cases of each by default; with `ATELIER_LONG=1` other ones each time, for as many minutes as
//! `ATELIER_FUZZ_MINUTES` says (10).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod decoders;
mod dice;
mod lies;
mod memory;
mod moves;
mod wire;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use dice::Dice;

/// Cases that failed once: a target and a number a line.
const KEPT: &str = include_str!("kept.txt");

fn minutes() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long to test is the caller's choice")]
    let minutes = std::env::var("ATELIER_FUZZ_MINUTES");
    minutes.map_or(10, |minutes| minutes.parse().unwrap())
}

/// Runs the target's kept cases, then new ones.
#[expect(clippy::disallowed_methods, reason = "how long it runs is no matter of a clock's truth")]
fn fuzz(target: &str, cases: u64, case: impl Fn(&mut Dice)) {
    let one = |number: u64| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut Dice::new(number)))) {
            eprintln!("to be kept in kept.txt: {target} {number}");
            resume_unwind(panic);
        }
    };
    for line in KEPT.lines().filter(|line| !line.starts_with('#')) {
        let (kept, number) = line.split_once(' ').unwrap();
        if kept == target {
            one(number.parse().unwrap());
        }
    }
    if !common::is_long() {
        (0..cases).for_each(one);
        return;
    }
    let mut seed = [0; 8];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).unwrap();
    let (began, length) = (Instant::now(), Duration::from_mins(minutes()));
    let mut ran = 0;
    while began.elapsed() < length {
        one(u64::from_le_bytes(seed).wrapping_add(ran));
        ran += 1;
    }
    eprintln!("{target}: {ran} cases");
}

#[test]
fn a_server_whose_studio_lies() {
    fuzz("server", 120, |dice| lies::told_to(lies::Victim::Server, false, dice));
}

#[test]
fn a_studio_whose_server_lies() {
    fuzz("studio", 120, |dice| lies::told_to(lies::Victim::Studio, false, dice));
}

#[test]
fn a_server_whose_studio_lies_about_moves() {
    fuzz("server-moves", 100, |dice| lies::told_to(lies::Victim::Server, true, dice));
}

#[test]
fn a_studio_whose_server_lies_about_moves() {
    fuzz("studio-moves", 100, |dice| lies::told_to(lies::Victim::Studio, true, dice));
}

#[test]
fn a_side_whose_memory_is_damaged() {
    fuzz("memory", 80, memory::damaged);
}

#[test]
fn a_side_whose_memory_is_sound_and_wrong() {
    fuzz("wrong", 80, memory::wrong);
}

#[test]
fn paths_from_anywhere() {
    fuzz("paths", 20_000, decoders::path);
}

#[test]
fn notes_in_a_trash() {
    fuzz("notes", 2_000, decoders::note);
}

#[test]
fn exclusions_from_anywhere() {
    fuzz("exclusions", 2_000, decoders::exclusions);
}

#[test]
fn tokens_from_anywhere() {
    fuzz("tokens", 20_000, decoders::token);
}
