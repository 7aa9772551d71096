//! From a template to what is built and launched: pure code, no I/O.
//!
//! A [`template::TemplateSpec`] is an ordered list of [`blocks`]. [`compose::compile`] turns it into a [`plan::BuildPlan`], which
//! builder drivers of the control plane carry out, and a [`launch::LaunchSpec`], which studios are started with. The same
//! input gives the same output, to the byte.

pub mod blocks;
pub mod compose;
mod dockerfile;
pub mod launch;
pub mod plan;
pub mod template;
