//! Tests of the worker above the operating system.

mod failures;
mod laws;
mod plans;
mod renderers;
mod support;
