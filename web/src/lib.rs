//! The panel: pages and desired state (`gantry serve`), and the process that commands the workers (`gantry dispatch`).

pub mod app;
pub mod assets;
pub mod auth;
pub mod config;
pub mod dispatch;
pub mod error;
pub mod extract;
pub mod middleware;
pub mod paths;
pub mod router;
pub mod routes;
pub mod state;
pub mod store;
pub mod views;
