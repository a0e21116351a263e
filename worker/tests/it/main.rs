//! Tests of the worker above the operating system.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod batch;
mod batch_laws;
mod drift;
mod failures;
mod includes;
mod laws;
mod outside;
mod plans;
mod renderers;
mod support;
