//! What is under way, and since when: a call of the host that never returns is noticed by whoever looks here.
//!
//! **Whatever a job waits for has a limit of its own, and [`HANGS_AFTER`] is longer than each.** Only what has none (a disk, a
//! file system of somebody else's program) can be under way for longer, and would be for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::around::{Around, Kind};
use super::{System, command, passwd, services, stage};

/// What is under way for longer hangs. Twice the longest of what has limits: nginx's test in its child, its three runs; units
/// that are started or stopped, asked about, and their log; users, who are made by a program between two waits for the files'
/// lock.
pub(crate) const HANGS_AFTER: Duration = {
    let staged = 3 * stage::TEST_LIMIT.as_secs();
    let units = services::UNIT_LIMIT.as_secs() + command::DEFAULT_LIMIT.as_secs() + services::LOG_LIMIT.as_secs();
    let users = 2 * passwd::LOCK_LIMIT.as_secs() + command::DEFAULT_LIMIT.as_secs();
    let longest = if staged > units { staged } else { units };
    Duration::from_secs(2 * if users > longest { users } else { longest })
};

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    begun: u64,
    /// In the order in which they have begun.
    under_way: BTreeMap<u64, (&'static str, Instant)>,
}

impl Watch {
    /// Something begins; it ends when what this returns is dropped.
    pub(crate) fn begin(&self, name: &'static str) -> UnderWay<'_> {
        let mut calls = self.lock();
        calls.begun += 1;
        let number = calls.begun;
        calls.under_way.insert(number, (name, Instant::now()));
        UnderWay { watch: self, number }
    }

    /// What has been under way for longer than this, and for how long.
    pub(crate) fn overdue(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        let calls = self.lock();
        let (name, began) = calls.under_way.values().next()?;
        Some((*name, began.elapsed())).filter(|(_, time)| *time > limit)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is under way.
pub(crate) struct UnderWay<'w> {
    watch: &'w Watch,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.watch.lock().under_way.remove(&self.number);
    }
}

/// A host whose calls are watched.
pub(crate) struct Watched {
    pub(crate) host: Arc<dyn System>,
    pub(crate) watch: Arc<Watch>,
}

impl Around for Watched {
    fn around<T>(&self, _kind: Kind, name: &'static str, call: impl FnOnce(&dyn System) -> T) -> T {
        let _under_way = self.watch.begin(name);
        call(self.host.as_ref())
    }
}
