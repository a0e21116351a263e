//! A host around another host, for what is to be done around each of its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use shared::events::{HostFacts, RoleHealth};
use shared::names::{DomainName, LinuxUser, PhpVersion};

use super::{Check, LiveTest, NginxTest, PhpTest, ProbeAnswer, Question, Removed, ServiceStatus, StagedChange, System, SystemError};
use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It reads, or belongs to what goes on beside the jobs.
    Reads,
    /// It is a step of a job.
    Changes,
}

/// A host around another one.
pub(super) trait Around: Send + Sync {
    /// Makes a call, which has this name.
    fn around<T>(&self, kind: Kind, name: &'static str, call: impl FnOnce(&dyn System) -> T) -> T;
}

/// Forwards each call.
macro_rules! forward {
    (reads { $(fn $read:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+ }
     changes { $(fn $change:ident(&self $(, $name:ident: $kind:ty)*) -> $outcome:ty;)+ }) => {
        impl<A: Around> System for A {
            $(fn $read(&self $(, $argument: $type)*) -> $result {
                self.around(Kind::Reads, stringify!($read), |host| host.$read($($argument),*))
            })+
            $(fn $change(&self $(, $name: $kind)*) -> $outcome {
                self.around(Kind::Changes, stringify!($change), |host| host.$change($($name),*))
            })+
        }
    };
}

forward! {
    reads {
        fn entry(&self, path: &Path) -> Result<Entry, SystemError>;
        fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError>;
        fn digest(&self, path: &Path) -> Result<String, SystemError>;
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
        fn finish_service(&self, unit: &str) -> Result<UnitState, SystemError>;
        fn remove_some(&self, path: &Path, most: usize) -> Result<Removed, SystemError>;
        fn pause(&self, time: Duration) -> ();
        fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError>;
        fn has_ipv6(&self) -> bool;
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
        fn start_soon(&self, unit: &str) -> Result<(), SystemError>;
        fn stop_units(&self, units: &[&str]) -> Result<(), SystemError>;
        fn stop_at_once(&self, socket: &str) -> Result<(), SystemError>;
        fn reload_unit(&self, unit: &str) -> Result<(), SystemError>;
        fn load_units(&self) -> Result<(), SystemError>;
        fn reload_nginx(&self) -> Result<(), SystemError>;
    }
}
