//! The worker's own package: from a job that wants a newer one to a newer worker that answers.
//!
//! - [`request`]: the running worker refuses, or fetches the package and orders the update; later it reports how that ended.
//! - [`order`]: what is ordered, and how far it has come: files below the state directory.
//! - [`fetch`]: the package, from the panel.
//! - [`updater`]: `gantry-worker update`, in a unit of its own: installs, waits until the new worker answers, or puts the old
//!   package back.
//!
//! **Only what a pinned release key has signed is installed, and only if it is newer.**
//! **At every instant the old or the new worker is installed**: the updater is a copy of the old program, its order says how far
//! it has come, and it goes on where it was after a power cut.
//! **A new worker is kept only if it is well**: it reaches the bus and its consumer, its database takes what is written, and no role
//! that worked when the update was ordered has stopped working. Until then it leaves no sign, and the updater goes back.
//! **No other job is begun between order and end, and none is taken from the bus by a worker that finds the order under way**, so
//! going back loses nothing, though the old database may come back: what was handed over before waits in the inbox.

pub(crate) mod fetch;
pub mod order;
pub(crate) mod request;
pub mod updater;

use shared::events::{StepReport, StepState};

pub(crate) use request::{Updates, report};

/// The unit that runs the updater.
pub(crate) const UPDATE_UNIT: &str = "gantry-worker-update.service";
/// Where the worker's package keeps the public halves of the release keys.
pub const RELEASE_KEYS: &str = "/usr/share/gantry-worker/release-keys";

const CHECK: &str = "signature";
const FETCH: &str = "download";
const INSTALL: &str = "install";
const ANSWER: &str = "new worker answers";
const PUT_BACK: &str = "old worker back";

/// The steps of an update that goes well, all waiting.
fn steps() -> Vec<StepReport> {
    [CHECK, FETCH, INSTALL, ANSWER].into_iter().map(|name| step(name, StepState::Waiting)).collect()
}

fn step(name: &str, state: StepState) -> StepReport {
    StepReport { name: name.to_owned(), state, ms: None, detail: String::new(), shared_with: 0 }
}

/// Moves a step, which is added if it is none of the usual ones.
fn advance(steps: &mut Vec<StepReport>, name: &str, state: StepState, ms: Option<u32>) {
    match steps.iter_mut().find(|step| step.name == name) {
        Some(found) => (found.state, found.ms) = (state, ms),
        None => steps.push(StepReport { ms, ..step(name, state) }),
    }
}
