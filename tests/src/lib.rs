//! What the suites of this crate share: where the checkout is, and its source files.

pub mod sources;
