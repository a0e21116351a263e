//! Tests of the shared crate that need the world: a real nats-server, the whole source tree.

mod bus;
