//! The panel's integration tests, in one binary.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up must fail loudly")]

mod host;
mod views;
