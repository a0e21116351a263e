//! The real host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use shared::events::{HostFacts, RoleHealth};
use shared::names::{DomainName, LinuxUser, PhpVersion};

use super::{
    Check, LiveTest, NginxTest, PhpTest, ProbeAnswer, Question, Removed, ServiceStatus, StagedChange, System, SystemError, files, inspect,
    nginx, php, probe, removal, role_health, services, stage, users,
};
use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};

/// The host this program runs on, as root.
#[derive(Debug, Clone, Copy)]
pub struct Host(());

impl Host {
    /// Takes hold of the host: makes the place where candidates lie while a daemon looks at them.
    ///
    /// # Errors
    /// It cannot be made: not root, or a host unlike Debian's.
    pub fn open() -> Result<Self, SystemError> {
        services::make_candidates()?;
        Ok(Self(()))
    }
}

impl System for Host {
    fn entry(&self, path: &Path) -> Result<Entry, SystemError> {
        files::entry(path)
    }

    fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError> {
        files::content(path)
    }

    fn digest(&self, path: &Path) -> Result<String, SystemError> {
        files::digest(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, SystemError> {
        files::list(path)
    }

    fn holds_one(&self, path: &Path) -> Result<bool, SystemError> {
        files::holds_one(path)
    }

    fn write_file(&self, file: &FileImage) -> Result<(), SystemError> {
        files::write_file(file)
    }

    fn create_file(&self, file: &FileImage) -> Result<(), SystemError> {
        files::create_file(file)
    }

    fn remove_file(&self, path: &Path) -> Result<(), SystemError> {
        files::remove_file(path)
    }

    fn link(&self, path: &Path, target: &Path) -> Result<(), SystemError> {
        files::link(path, target)
    }

    fn ensure_directory(&self, directory: &DirectoryImage) -> Result<(), SystemError> {
        files::ensure_directory(directory)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), SystemError> {
        files::remove_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), SystemError> {
        files::rename(from, to)
    }

    fn remove_some(&self, path: &Path, most: usize) -> Result<Removed, SystemError> {
        removal::remove_some(path, most)
    }

    fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError> {
        users::user(name)
    }

    fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError> {
        users::user_of_uid(uid)
    }

    fn group(&self, name: &str) -> Result<Option<u32>, SystemError> {
        users::group(name)
    }

    fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError> {
        users::group_of_gid(gid)
    }

    fn users(&self) -> Result<BTreeMap<String, UserRecord>, SystemError> {
        users::users()
    }

    fn add_users(&self, wanted: &[&UserImage]) -> Result<(), SystemError> {
        users::add_users(wanted)
    }

    fn remove_users(&self, names: &[&LinuxUser]) -> Result<(), SystemError> {
        users::remove_users(names)
    }

    fn set_passwords(&self, fields: &[(&LinuxUser, &str)]) -> Result<(), SystemError> {
        users::set_passwords(fields)
    }

    fn set_expiries(&self, days: &[(&LinuxUser, Option<i64>)]) -> Result<(), SystemError> {
        users::set_expiries(days)
    }

    fn end_processes(&self, uids: &[u32]) -> Result<(), SystemError> {
        users::end_processes(uids)
    }

    fn units(&self, units: &[&str]) -> Result<Vec<UnitState>, SystemError> {
        services::units(units)
    }

    fn active_units(&self) -> Result<BTreeSet<String>, SystemError> {
        services::active_units()
    }

    fn start_units(&self, units: &[&str]) -> Result<(), SystemError> {
        services::start_units(units)
    }

    fn start_soon(&self, unit: &str) -> Result<(), SystemError> {
        services::start_soon(unit)
    }

    fn stop_units(&self, units: &[&str]) -> Result<(), SystemError> {
        services::stop_units(units)
    }

    fn stop_at_once(&self, socket: &str) -> Result<(), SystemError> {
        services::stop_at_once(socket)
    }

    fn reload_unit(&self, unit: &str) -> Result<(), SystemError> {
        services::reload_unit(unit)
    }

    fn services(&self, pattern: &str) -> Result<Vec<ServiceStatus>, SystemError> {
        services::services(pattern)
    }

    fn finish_service(&self, unit: &str) -> Result<UnitState, SystemError> {
        services::finish_service(unit)
    }

    fn load_units(&self) -> Result<(), SystemError> {
        services::load_units()
    }

    fn test_nginx(&self, changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError> {
        stage::test_nginx(changes, live)
    }

    fn reload_nginx(&self) -> Result<(), SystemError> {
        nginx::reload()
    }

    fn test_php(&self, tests: &[PhpTest<'_>]) -> Result<Check, SystemError> {
        php::test_php(tests)
    }

    fn test_packet_filter(&self, rules: &str) -> Result<Check, SystemError> {
        services::test_packet_filter(rules)
    }

    fn filters_packets(&self, table: &str) -> Result<bool, SystemError> {
        services::filters_packets(table)
    }

    fn test_sshd(&self) -> Result<Check, SystemError> {
        services::test_sshd()
    }

    fn probe(&self, domain: &DomainName, question: Question) -> Result<ProbeAnswer, SystemError> {
        Ok(probe::probe(domain, question))
    }

    fn children(&self, unit: &str, uid: u32) -> Result<usize, SystemError> {
        services::children(unit, uid)
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError> {
        inspect::php_versions()
    }

    fn has_ipv6(&self) -> bool {
        inspect::has_ipv6()
    }

    fn role_health(&self) -> Vec<RoleHealth> {
        role_health::role_health()
    }

    fn host_facts(&self) -> HostFacts {
        inspect::host_facts()
    }
}
