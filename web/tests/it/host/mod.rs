//! The whole of Gantry on a real systemd host: panel, bus and worker as `make up` starts them, driven over HTTPS like a
//! person would. `.ci/hosts.sh` starts it and sets `GANTRY_E2E`; without it these tests say that they are skipped.

mod account;
mod crash;
mod drift;
mod failure;
mod join;
mod lab;
mod outage;
mod panel;
mod prober;
mod site;
mod tenant;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use lab::Lab;
use panel::Panel;

/// One installation for all tests, one test at a time.
pub(crate) struct World {
    pub(crate) panel: Panel,
    pub(crate) lab: Lab,
}

/// The installation, or `None` with the reason printed.
pub(crate) fn world() -> Option<MutexGuard<'static, World>> {
    static WORLD: OnceLock<Option<Mutex<World>>> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let Ok(panel) = std::env::var("GANTRY_E2E") else {
            println!("skipped: host tests: GANTRY_E2E is not set; run them with `make test`");
            return None;
        };
        Some(Mutex::new(World { panel: Panel::sign_in(&panel), lab: Lab::from_env() }))
    });
    world.as_ref().map(|world| world.lock().unwrap_or_else(PoisonError::into_inner))
}
