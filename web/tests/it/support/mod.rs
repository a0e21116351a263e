//! What tests are made of.

pub mod app;
pub mod db;
pub mod fleet;
