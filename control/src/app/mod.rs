//! What users may do, and who may do it: one service a family of use cases. Authorization lives here and nowhere else.

pub mod agent_calls;
pub mod api_keys;
pub mod audit;
pub mod builds;
pub mod error;
pub mod housekeeping;
pub mod login;
pub mod logs;
pub mod ports;
pub mod projects;
pub mod running;
pub mod secrets;
pub mod services;
pub mod starter_files;
pub mod studios;
pub mod sync;
pub mod tasks;
pub mod templates;
pub mod users;
pub mod zones;

pub use error::AppError;
