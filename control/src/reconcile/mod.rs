//! What is wanted becomes so: loops that compare and act, driven by events and by a period, so that a lost event costs
//! time and not truth.

pub mod studio;
