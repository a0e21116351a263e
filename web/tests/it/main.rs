//! One binary for all tests of the panel.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up must fail loudly")]

mod support;

mod account;
mod browser;
mod client;
mod host;
mod operation;
mod queue;
mod route_coverage;
mod security;
mod session;
mod site;
mod store;
mod views;
mod whole;
