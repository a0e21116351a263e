//! Every page renders from plain models: typical ones, empty ones, failures, and texts that are too long.

mod assets;
mod components;
mod fragments;
mod gallery;
mod models;
mod pages;
mod samples;
