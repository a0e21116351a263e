//! Use cases: what people can do, one function each.
//!
//! **Who asks is an argument** ([`Actor`]) that no use case can be called without, and ownership is part of every query.
//! A resource of somebody else's does not exist: [`AppError::NotFound`].
//! **One transaction per request**: desired state, operation, jobs and the audit line commit together ([`unit::Unit`]).
//! **No axum, no maud, no sqlx here.**

pub mod account;
pub mod account_access;
pub mod account_change;
mod actor;
pub mod client;
mod desired;
pub mod drift;
pub mod enrolment;
mod error;
pub mod operation;
pub mod operator;
pub mod password;
pub mod php;
mod pool;
pub mod preview;
pub mod queue;
mod repair;
pub mod security;
pub mod server;
pub mod server_form;
pub mod server_gone;
pub mod session;
pub mod signal;
pub mod site;
pub mod site_change;
pub mod site_history;
mod site_rules;
mod unit;
pub mod user;
pub mod worker_update;

use std::sync::Arc;

pub use actor::Actor;
pub use error::{AppError, FieldErrors};

use crate::auth::password::Hasher;
use crate::store::Db;
use preview::Workers;
use signal::Signals;

/// What use cases work with. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub db: Db,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Where to say that something has changed, after the commit.
    pub signals: Arc<dyn Signals>,
    /// Who answers questions about servers at once.
    pub workers: Arc<dyn Workers>,
    /// The panel's own host name, which no site may have.
    pub panel_host: Arc<str>,
}

/// What a request for a change came to: the operation that shows it, and the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// The operation.
    pub operation: shared::ids::OperationId,
    /// The resource.
    pub resource: shared::jobs::ResourceKey,
}
