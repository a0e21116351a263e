//! A person with a browser: a real chromium against the whole of Gantry, started as `make up` starts it.
//!
//! `GANTRY_E2E` is the panel's address, `GANTRY_E2E_PASSWORD` the admin's one-time password, `GANTRY_E2E_SITES` where sites
//! answer. Without them these tests say that they are skipped. `GANTRY_SCREENSHOTS` is where pictures of the pages go
//! (default `target/screenshots`); `GANTRY_AXE` is axe-core's `axe.min.js`, with which the pages are checked for access.

mod journey;
mod live;
mod pages;
mod person;
mod plain;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use person::Person;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// The panel, such as `https://127.0.0.1:8443`.
    pub(crate) panel: String,
    /// The admin's one-time password, as long as no other was chosen.
    pub(crate) once: String,
    /// Where sites answer, such as `127.0.0.1:8080`.
    pub(crate) sites: String,
}

/// Whether the browser runs the panel's scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// The installation, or `None` with the reason printed.
fn world() -> Option<World> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (of("GANTRY_E2E"), of("GANTRY_E2E_PASSWORD"), of("GANTRY_E2E_SITES")) {
        (Some(panel), Some(once), Some(sites)) => Some(World { panel, once, sites }),
        _ => {
            println!("skipped: browser tests: GANTRY_E2E is not set; run them with `make test`");
            None
        }
    }
}

/// Where pictures go.
pub(crate) fn screenshots() -> PathBuf {
    let of = std::env::var_os("GANTRY_SCREENSHOTS").map(PathBuf::from);
    of.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots"))
}

/// Gives a test a new browser with the admin signed in. One browser at a time; it is closed however the test ends, and
/// leaves a picture of its last moment if the test failed.
pub(crate) fn with_browser(scripts: Scripts, test: impl AsyncFnOnce(&Person)) {
    static ONE: Mutex<()> = Mutex::new(());
    let Some(world) = world() else { return };
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let person = runtime.block_on(Person::open(world, scripts));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            person.sign_in_as_admin().await;
            test(&person).await;
        });
    }));
    runtime.block_on(person.close(outcome.is_err()));
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}
