//! From a template to what is built and launched: pure code, no I/O.
//!
//! A [`plan::BuildPlan`] says what an image is made of. Builder drivers of the control plane carry it out.

pub mod plan;
