//! The panel: pages and desired state (`gantry serve`), and the process that commands the workers (`gantry dispatch`).

pub mod auth;
pub mod dispatch;
pub mod live;
pub mod paths;
pub mod store;
pub mod tls;
pub mod views;
