//! For tests on a real host: a worker that kills itself before its n-th change of the host.
//!
//! The number is in a file, which is removed first: the worker that is started again goes on undisturbed. A job that
//! makes fewer changes leaves the file where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use shared::events::{HostFacts, RoleHealth};
use shared::names::{DomainName, LinuxUser, PhpVersion};

use super::{Check, LiveTest, NginxTest, PhpTest, ProbeAnswer, Question, Removed, ServiceStatus, StagedChange, System, SystemError};
use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};

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

/// Forwards a call; a changing one is counted first.
macro_rules! forward {
    (reads { $(fn $read:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+ }
     changes { $(fn $change:ident(&self $(, $name:ident: $kind:ty)*) -> $outcome:ty;)+ }) => {
        impl System for Crashing {
            $(fn $read(&self $(, $argument: $type)*) -> $result { self.host.$read($($argument),*) })+
            $(fn $change(&self $(, $name: $kind)*) -> $outcome { self.before_change(); self.host.$change($($name),*) })+
        }
    };
}

forward! {
    reads {
        fn entry(&self, path: &Path) -> Result<Entry, SystemError>;
        fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError>;
        fn list(&self, path: &Path) -> Result<Vec<String>, SystemError>;
        fn holds_one(&self, path: &Path) -> Result<bool, SystemError>;
        fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError>;
        fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError>;
        fn group(&self, name: &str) -> Result<Option<u32>, SystemError>;
        fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError>;
        fn users(&self) -> Result<BTreeMap<String, UserRecord>, SystemError>;
        fn units(&self, units: &[&str]) -> Result<Vec<UnitState>, SystemError>;
        fn active_units(&self) -> Result<BTreeSet<String>, SystemError>;
        fn test_nginx(&self, changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError>;
        fn test_php(&self, tests: &[PhpTest<'_>]) -> Result<Check, SystemError>;
        fn test_packet_filter(&self, rules: &str) -> Result<Check, SystemError>;
        fn filters_packets(&self, table: &str) -> Result<bool, SystemError>;
        fn test_sshd(&self) -> Result<Check, SystemError>;
        fn probe(&self, domain: &DomainName, question: Question) -> Result<ProbeAnswer, SystemError>;
        fn children(&self, unit: &str, uid: u32) -> Result<usize, SystemError>;
        // What goes on beside the jobs is no step of any.
        fn services(&self, pattern: &str) -> Result<Vec<ServiceStatus>, SystemError>;
        fn finish_service(&self, unit: &str) -> Result<(), SystemError>;
        fn remove_some(&self, path: &Path, most: usize) -> Result<Removed, SystemError>;
        fn pause(&self, time: Duration) -> ();
        fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError>;
        fn has_ipv6(&self) -> bool;
        fn web_health(&self) -> RoleHealth;
        fn role_health(&self) -> Vec<RoleHealth>;
        fn host_facts(&self) -> HostFacts;
    }
    changes {
        fn write_file(&self, file: &FileImage) -> Result<(), SystemError>;
        fn create_file(&self, file: &FileImage) -> Result<(), SystemError>;
        fn remove_file(&self, path: &Path) -> Result<(), SystemError>;
        fn link(&self, path: &Path, target: &Path) -> Result<(), SystemError>;
        fn ensure_directory(&self, directory: &DirectoryImage) -> Result<(), SystemError>;
        fn remove_directory(&self, path: &Path) -> Result<(), SystemError>;
        fn rename(&self, from: &Path, to: &Path) -> Result<(), SystemError>;
        fn add_users(&self, users: &[&UserImage]) -> Result<(), SystemError>;
        fn remove_users(&self, names: &[&LinuxUser]) -> Result<(), SystemError>;
        fn set_passwords(&self, fields: &[(&LinuxUser, &str)]) -> Result<(), SystemError>;
        fn set_expiries(&self, days: &[(&LinuxUser, Option<i64>)]) -> Result<(), SystemError>;
        fn end_processes(&self, uids: &[u32]) -> Result<(), SystemError>;
        fn start_units(&self, units: &[&str]) -> Result<(), SystemError>;
        fn stop_units(&self, units: &[&str]) -> Result<(), SystemError>;
        fn reload_unit(&self, unit: &str) -> Result<(), SystemError>;
        fn load_units(&self) -> Result<(), SystemError>;
        fn reload_nginx(&self) -> Result<(), SystemError>;
    }
}
