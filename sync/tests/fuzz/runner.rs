//! Runs the cases of a target, each a number: what failed once is kept in `kept.txt` and runs first from then on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use super::dice::Dice;

/// Cases that failed once: a target and a number a line.
const KEPT: &str = include_str!("kept.txt");

/// How long, and how many minutes, is the caller's choice.
fn asked(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.into_string().unwrap())
}

/// Runs the target's kept cases, then so many; in full, other ones each time, for as many minutes as `ATELIER_FUZZ_MINUTES` says (10).
#[expect(clippy::disallowed_methods, reason = "how long it runs is no matter of a clock's truth")]
pub(crate) fn fuzz(target: &str, cases: u64, case: impl Fn(&mut Dice)) {
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
    if asked("ATELIER_LONG").is_none() {
        (0..cases).for_each(one);
        return;
    }
    let minutes = asked("ATELIER_FUZZ_MINUTES").map_or(10, |minutes| minutes.parse().unwrap());
    let mut seed = [0; 8];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).unwrap();
    let (began, length) = (Instant::now(), Duration::from_mins(minutes));
    let mut ran = 0;
    while began.elapsed() < length {
        one(u64::from_le_bytes(seed).wrapping_add(ran));
        ran += 1;
    }
    eprintln!("{target}: {ran} cases");
}
