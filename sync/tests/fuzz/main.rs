//! What peers, disks and people hand to the engine, falsified again and again.
//!
//! Targets: each end of a real run whose peer's messages are falsified on their way ([`lies`], by [`wire`], [`moves`] and
//! [`operations`]); a side whose memory is damaged ([`memory`]); and the decoders that stand by themselves ([`decoders`]). Those
//! that nobody outside sees have targets beside them, in files of the name `fuzz.rs`.
//!
//! Some hundred cases of each by default, minutes of each in full ([`runner`]).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../common/mod.rs"]
mod common;

mod decoders;
mod dice;
mod lies;
mod memory;
mod moves;
mod operations;
mod runner;
mod wire;

use lies::{Lies, Victim, told_to};
use runner::fuzz;
use sync::MESSAGE_LIMIT_BYTES;

#[test]
fn a_server_whose_studio_lies() {
    fuzz("server", 120, |dice| told_to(Victim::Server, Lies::Any, dice));
}

#[test]
fn a_studio_whose_server_lies() {
    fuzz("studio", 120, |dice| told_to(Victim::Studio, Lies::Any, dice));
}

#[test]
fn a_server_whose_studio_lies_about_moves() {
    fuzz("server-moves", 100, |dice| told_to(Victim::Server, Lies::Moves, dice));
}

#[test]
fn a_studio_whose_server_lies_about_moves() {
    fuzz("studio-moves", 100, |dice| told_to(Victim::Studio, Lies::Moves, dice));
}

#[test]
fn a_studio_that_is_told_to_do_anything() {
    fuzz("apply", 200, |dice| told_to(Victim::Studio, Lies::Operations, dice));
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
