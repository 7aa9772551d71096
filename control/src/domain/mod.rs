//! Words of the product as types: what exists, what states it may be in, who may do what. No I/O.

pub mod agent;
pub mod app_url;
pub mod audit;
pub mod build;
pub mod ids;
pub mod launch;
pub mod mounts;
pub mod permission;
pub mod project;
pub mod session;
pub mod studio;
pub mod subpath;
pub mod sync;
pub mod task;
pub mod template;
pub mod user;
pub mod zone;
pub mod zone_files;
