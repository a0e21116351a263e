//! The bus.
pub mod topology;
