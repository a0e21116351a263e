//! Pages as pure functions of plain models.
//!
//! - [`layout`]: the frame around every page; [`components`]: the parts pages are made of.
//! - one module per feature, each with its model structs, `*_page` functions and fragments.
//! - [`fragment`]: a part of a page that is rendered the same way by the page, by an htmx answer and by the live stream.
//! - [`join`]: what a new host runs to join: the one text here that is not HTML.
//! - [`assets`]: the static files, embedded, with fingerprinted names.
//!
//! **No IO, no clock, no decision about permissions**: the model says what time it is and what the viewer may do.
//! **No inline style or script**: the content security policy forbids both; behaviour hangs on `data-*` attributes.

pub mod account;
pub mod assets;
pub mod audit;
pub mod client;
pub mod components;
pub mod drift;
pub mod drift_server;
pub mod error;
pub mod fragment;
pub mod home_admin;
pub mod home_client;
pub mod join;
pub mod layout;
pub mod listing;
pub mod model;
pub mod nav;
pub mod operation;
pub mod password;
pub mod preview;
pub mod queue;
pub mod search;
pub mod security;
pub mod server;
pub mod sessions;
pub mod sign_in;
pub mod site;
pub mod suspend;
