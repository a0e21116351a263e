//! Gantry's panel.

pub mod paths;
pub mod views;
