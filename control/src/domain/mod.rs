//! Words of the product as types: what exists, what states it may be in, who may do what. No I/O.

pub mod build;
pub mod ids;
pub mod studio;
pub mod task;
pub mod zone;
