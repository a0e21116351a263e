//! Tests of the shared crate that need the world: a real nats-server, the whole source tree.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail loudly")]

mod bus;
mod cluster;
mod tidy;
mod wire;
