//! The panel.
pub mod store;
