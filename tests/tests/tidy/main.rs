//! Holds the code to the rules of `ARCHITECTURE.md` that a compiler does not know.
//!
//! A rule that has to give way somewhere says so in the table of that rule, with the reason.

mod architecture;
mod imports;
mod reliability;
mod sizes;
mod words;

/// Fails with every breach at once: one run shows all that is to be done.
fn none(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
