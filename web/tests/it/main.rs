//! One binary for all tests of the panel.

mod support;
mod views;

mod account;
mod client;
mod operation;
mod queue;
mod route_coverage;
mod security;
mod session;
mod site;
mod store;
