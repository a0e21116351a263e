//! For tests on a real host: a worker that kills itself before its n-th change of the host.
//!
//! The number is in a file, which is removed first: the worker that is started again goes on undisturbed. A job that
//! makes fewer changes leaves the file where it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, raise};

use super::System;
use super::around::{Around, Kind};

/// The file that holds the number.
pub const CRASH_FILE: &str = "/run/gantry-worker-crash";

/// A host whose worker can be made to die.
pub struct Crashing {
    host: Arc<dyn System>,
    file: PathBuf,
    changes: AtomicU32,
}

impl Crashing {
    /// Wraps a host.
    #[must_use]
    pub fn new(host: Arc<dyn System>) -> Self {
        Self { host, file: PathBuf::from(CRASH_FILE), changes: AtomicU32::new(0) }
    }

    /// Counts a change, and dies before it if its number has come. Without the file nothing is counted.
    fn before_change(&self) {
        let Some(number) = std::fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
            self.changes.store(0, Ordering::Relaxed);
            return;
        };
        if self.changes.fetch_add(1, Ordering::Relaxed) + 1 >= number {
            let _ = std::fs::remove_file(&self.file);
            let _ = raise(Signal::SIGKILL);
        }
    }
}

impl Around for Crashing {
    fn around<T>(&self, kind: Kind, _name: &'static str, call: impl FnOnce(&dyn System) -> T) -> T {
        if kind == Kind::Changes {
            self.before_change();
        }
        call(self.host.as_ref())
    }
}
