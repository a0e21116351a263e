//! The panel: pages and desired state (`gantry serve`), and the process that commands the workers (`gantry dispatch`).
//!
//! - [`routes`]: HTTP in, one use case, one view. [`paths`]: every address. [`router`]: all of them, with the stack around.
//! - [`app`]: use cases, one transaction each. [`auth`]: proofs of who somebody is. [`store`]: the database.
//! - [`views`]: HTML as pure functions. [`live`]: changed parts of a page over one stream.
//! - [`worker_package`]: what hosts that join install. [`tls`]: the panel's certificate. `private_file`: files that others must not read.
//! - [`dispatch`]: the other process, which holds the keys. [`cli`]: the commands.

pub mod app;
pub mod assets;
pub mod auth;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod error;
pub mod extract;
pub mod live;
pub mod middleware;
pub mod paths;
mod private_file;
pub mod router;
pub mod routes;
pub mod state;
pub mod store;
pub mod tls;
pub mod views;
pub mod worker_package;
