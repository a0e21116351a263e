//! The panel: pages and desired state (`gantry serve`), and the process that commands the workers (`gantry dispatch`).

pub mod dispatch;
pub mod store;
