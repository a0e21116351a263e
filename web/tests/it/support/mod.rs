//! What tests are made of.

pub(crate) mod app;
pub(crate) mod db;
pub(crate) mod fleet;
