//! Gantry's agent on a host: takes jobs and makes the host match them.
//!
//! - [`run`](mod@run): the whole worker. [`inbox`]: jobs the bus handed over. [`outbox`]: events on their way back. `sendings`: jobs as they were delivered.
//!   [`heartbeat`]: presence. [`enrol`], [`join`]: joining a panel. [`config`]: who this worker is.
//! - `executor`: works the inbox off in batches; `turns` says whose turn it is.
//! - [`registry`]: the entry point. Verified jobs in, one outcome with its steps for each out.
//! - [`roles`]: pure planning. What the host should look like for a desired state.
//! - [`engine`]: carries plans out, undoes them, survives a crash. Knows no feature.
//! - [`ledger`]: what each resource was last made to look like.
//! - [`drift`]: whether the host is still as it was made. [`includes`]: nginx configuration of admins' own. `questions`: the panel's.
//! - `idle`: PHP masters that have nothing to do, put to sleep.
//! - `tasks`: what goes on beside the jobs.
//! - [`trash`]: what jobs have moved aside, removed beside them.
//! - [`system`]: the only module that touches the operating system.
//! - [`update`]: the worker's own package. [`panel`]: HTTPS to the panel, for that and for joining.
//! - [`store`]: the one database file all of it shares.
//!
//! **Only `system` runs programs or touches privileged files.** **`roles` is pure**: no files, no processes, no clock.

mod base;
pub mod config;
pub mod drift;
pub mod engine;
pub mod enrol;
mod executor;
pub mod heartbeat;
mod idle;
pub mod inbox;
pub mod includes;
pub mod join;
pub mod ledger;
mod obstacle;
pub mod outbox;
pub mod panel;
mod pending;
mod questions;
mod receive;
mod refused;
pub mod registry;
pub mod roles;
pub mod run;
mod sendings;
pub mod store;
pub mod system;
mod tasks;
mod teller;
pub mod trash;
mod tries;
mod turns;
pub mod update;
mod verdict;
mod watchdog;
