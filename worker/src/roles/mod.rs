//! What a host should look like, role by role.
//!
//! **Pure**: a plan is made of a desired state and of facts. Nothing here writes a file, runs a program or asks the time.

mod error;
pub mod web;

pub use error::PlanError;
