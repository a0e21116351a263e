//! One binary for all tests of the panel.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up must fail loudly")]

mod support;

mod account;
mod audit;
mod backup;
mod browser;
mod client;
mod clock;
mod database;
mod drift;
mod drift_server;
mod enrolment;
mod faults;
mod host;
mod hostile_worker;
mod join;
mod live;
mod messages;
mod operation;
mod overview;
mod presence;
mod preview;
mod queue;
mod queue_control;
mod repeat;
mod replay;
mod route_coverage;
mod scale;
mod second_panel;
mod security;
mod server;
mod server_delete;
mod server_gone;
mod session;
mod site;
mod store;
mod take_back;
mod views;
mod whole;
mod worker_update;
