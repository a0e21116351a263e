//! The panel: pages and desired state (`gantry serve`), and the process that commands the workers (`gantry dispatch`).

pub mod app;
pub mod auth;
pub mod dispatch;
pub mod store;
