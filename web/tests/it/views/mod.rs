//! Every page renders from plain models: typical ones, empty ones, failures, and texts that are too long.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its model shall panic")]

mod assets;
mod components;
mod fragments;
mod gallery;
mod models;
mod pages;
mod samples;
